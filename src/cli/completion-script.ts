/** The parts of the completion scripts that don't depend on what there is to complete. */

/**
 * Prints the candidates, a line each, for the word `$1` behind the words `$2 …`; `@files` stands for names of files.
 * In the language that bash and zsh share.
 */
export function candidatesFunction(groups: readonly string[]): string {
  return `__hostbus_candidates() {
  local cur="$1" path='' prev='' method='' place=0 word
  shift
  for word in "$@"; do
    if [ -n "$prev" ]; then prev=''; continue; fi
    case "$word" in
      -*=*) ;;
      -*) if __hostbus_values "$path $word" >/dev/null; then prev="$word"; fi ;;
      *)
        case "$path" in
          '') path="$word" ;;
          ${groups.map((group) => `'${group}'`).join('|')}) path="$path $word" ;;
          *)
            place=$((place + 1))
            if [ "$path" = call ] && [ "$place" = 2 ]; then method="$word"; fi ;;
        esac ;;
    esac
  done
  if [ -n "$prev" ]; then __hostbus_values "$path $prev"; return; fi
  case "$cur" in
    -*) __hostbus_options "$path"; return ;;
  esac
  if [ -n "$method" ]; then __hostbus_params "$method"; else __hostbus_words "$path:$place"; fi
}`;
}

export const bashDriver = `_hostbus() {
  local line="\${COMP_LINE:0:COMP_POINT}" cur='' candidate cut
  local -a words
  read -r -a words <<< "$line"
  # the words as typed: bash itself would split them at = and :
  case "$line" in
    *[[:blank:]]) ;;
    *) cur="\${words[\${#words[@]}-1]}"; unset "words[\${#words[@]}-1]" ;;
  esac
  # what bash takes for finished words is not to be given again
  cut="\${cur%"\${cur##*[=:]}"}"
  COMPREPLY=()
  while IFS= read -r candidate; do
    case "$candidate" in
      '') ;;
      @files) COMPREPLY+=($(compgen -f -- "$cur")); compopt -o filenames 2>/dev/null ;;
      "$cur"*) COMPREPLY+=("\${candidate#"$cut"}") ;;
    esac
  done < <(__hostbus_candidates "$cur" "\${words[@]:1}")
  case "\${COMPREPLY[0]-}" in
    *=) compopt -o nospace 2>/dev/null ;;
  esac
  return 0
}
complete -F _hostbus hostbus`;

export const zshDriver = `_hostbus() {
  local -a candidates open closed
  candidates=("\${(@f)$(__hostbus_candidates "$PREFIX" "\${(@)words[2,CURRENT-1]}")}")
  if [[ "\${candidates[1]}" == @files ]]; then _files; return; fi
  open=(\${(M)candidates:#*=})
  closed=(\${candidates:#(*=|)})
  (( $#open )) && compadd -S '' -- $open
  (( $#closed )) && compadd -- $closed
  return 0
}
if [ "\${funcstack[1]}" = _hostbus ]; then _hostbus "$@"; else compdef _hostbus hostbus; fi`;
