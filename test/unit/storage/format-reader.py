"""Reads storage domains by the rules of their format, and by nothing else: it shares no line with the daemon.

    python3 format-reader.py DIRECTORY

Prints one JSON object: the domains of the directory and their images. Exits with 1, and says on stderr which rule is
broken, when something in the directory is not as the format has it.
"""
import hashlib
import json
import os
import re
import stat
import struct
import sys

UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
NO_VOLUME = "00000000-0000-0000-0000-000000000000"
DOMAIN_KEYS = (
    "ALIGNMENT BLOCK_SIZE CLASS DESCRIPTION IOOPTIMEOUTSEC LEASERETRIES LEASETIMESEC LOCKPOLICY "
    "LOCKRENEWALINTERVALSEC POOL_UUID REMOTE_PATH ROLE SDUUID TYPE VERSION"
).split()
VOLUME_KEYS = "CAP CTIME DESCRIPTION DISKTYPE DOMAIN FORMAT GEN IMAGE LEGALITY PUUID SEQ TYPE VOLTYPE".split()


class Broken(Exception):
    pass


def require(holds, rule):
    if not holds:
        raise Broken(rule)


def read(path):
    require(stat.S_ISREG(os.lstat(path).st_mode), f"{path} is a regular file")
    with open(path, encoding="utf-8") as file:
        return file.read()


def key_values(path, lines):
    pairs = []
    for line in lines:
        key, equals, value = line.partition("=")
        require(equals == "=" and re.match(r"^[A-Z_]+$", key), f"{path}: {line!r} is KEY=VALUE")
        pairs.append((key, value))
    require([key for key, _ in pairs] == sorted({key for key, _ in pairs}), f"{path}: keys are sorted, each once")
    return dict(pairs)


def read_domain(path, domain_id):
    directory = os.path.join(path, domain_id)
    require(sorted(os.listdir(directory)) == ["dom_md", "images"], f"{directory} holds dom_md and images")
    for name in ("ids", "leases", "inbox", "outbox"):
        require(os.path.isfile(os.path.join(directory, "dom_md", name)), f"dom_md/{name} is there")
    metadata = os.path.join(directory, "dom_md", "metadata")
    text = read(metadata)
    require(text.endswith("\n"), f"{metadata} ends with a line end")
    *lines, last = text[:-1].split("\n")
    digest = hashlib.sha1()
    for line in lines:
        digest.update(line.encode("ascii", "xmlcharrefreplace"))
    require(last == "_SHA_CKSUM=" + digest.hexdigest(), f"{metadata}: the checksum is right")
    values = key_values(metadata, lines)
    require(list(values) == DOMAIN_KEYS, f"{metadata} has the keys of the format: {list(values)}")
    fixed = {
        "ALIGNMENT": "1048576", "BLOCK_SIZE": "512", "CLASS": "Data", "IOOPTIMEOUTSEC": "10", "LEASERETRIES": "3",
        "LEASETIMESEC": "60", "LOCKPOLICY": "", "LOCKRENEWALINTERVALSEC": "5", "POOL_UUID": "", "ROLE": "Regular",
        "SDUUID": domain_id, "VERSION": "5",
    }
    for key, value in fixed.items():
        require(values[key] == value, f"{metadata}: {key} is {value!r}, not {values[key]!r}")
    require(values["TYPE"] in ("LOCALFS", "NFS", "POSIXFS", "GLUSTERFS"), f"{metadata}: TYPE is known")
    images = os.path.join(directory, "images")
    names = sorted(os.listdir(images))
    return {
        "domainId": domain_id,
        "name": values["DESCRIPTION"],
        "remotePath": values["REMOTE_PATH"],
        "images": [read_image(os.path.join(images, name), domain_id, name) for name in names if UUID.match(name)],
        "others": [name for name in names if not UUID.match(name)],
    }


def read_image(directory, domain_id, image_id):
    names = sorted(os.listdir(directory))
    volume_ids = [name[: -len(".meta")] for name in names if name.endswith(".meta")]
    require(len(volume_ids) == 1, f"{directory} has one volume: {names}")
    volume_id = volume_ids[0]
    require(UUID.match(volume_id), f"{directory}: the volume's name is a UUID")
    volume = os.path.join(directory, volume_id)
    meta = read_volume_metadata(volume + ".meta", domain_id, image_id)
    require(os.path.getsize(volume + ".lease") == 0, f"{volume}.lease is there, unused")
    copy = json.loads(read(volume + ".copy")) if f"{volume_id}.copy" in names else None
    if meta["LEGALITY"] == "LEGAL":
        allowed = [volume_id, f"{volume_id}.lease", f"{volume_id}.meta"]
        require(names == allowed, f"{directory}: a complete image has three files: {names}")
        check_data(volume, meta)
    else:
        require(copy is not None, f"{volume}: what is not legal has a record of its copy")
        require(0 <= copy["offset"] and copy["done"] <= copy["total"], f"{volume}.copy claims no more than the whole")
    holder = json.loads(read(volume + ".holder")) if f"{volume_id}.holder" in names else None
    legal = meta["LEGALITY"] == "LEGAL"
    return {
        "imageId": image_id,
        "volumeId": volume_id,
        "status": "ok" if legal else "copying" if holder else "interrupted",
        "format": {"RAW": "raw", "COW": "qcow2"}[meta["FORMAT"]],
        "capacity": int(meta["CAP"]),
        "allocated": os.lstat(volume).st_blocks * 512,
        "generation": int(meta["GEN"]),
        "createdAt": int(meta["CTIME"]),
        "type": meta["TYPE"],
        "source": copy and copy["source"],
    }


def read_volume_metadata(path, domain_id, image_id):
    text = read(path)
    require(len(text.encode()) <= 512, f"{path} has at most 512 bytes")
    require(text.endswith("\nEOF\n"), f"{path} ends with EOF")
    values = key_values(path, text.split("\n")[:-2])
    require(list(values) == VOLUME_KEYS, f"{path} has the keys of the format: {list(values)}")
    fixed = {
        "DISKTYPE": "DATA", "DOMAIN": domain_id, "IMAGE": image_id, "PUUID": NO_VOLUME, "SEQ": "0", "VOLTYPE": "LEAF",
    }
    for key, value in fixed.items():
        require(values[key] == value, f"{path}: {key} is {value!r}, not {values[key]!r}")
    for key, allowed in {
        "FORMAT": ("RAW", "COW"), "LEGALITY": ("LEGAL", "ILLEGAL"), "TYPE": ("SPARSE", "PREALLOCATED"),
    }.items():
        require(values[key] in allowed, f"{path}: {key} is one of {allowed}")
    for key in ("CAP", "CTIME", "GEN"):
        require(re.match(r"^(0|[1-9][0-9]*)$", values[key]), f"{path}: {key} is a whole number")
    require(int(values["GEN"]) <= 999 and int(values["CAP"]) % 512 == 0, f"{path}: GEN and CAP are in their bounds")
    require(len(values["DESCRIPTION"]) <= 210, f"{path}: DESCRIPTION has at most 210 characters")
    return values


def check_data(volume, meta):
    require(stat.S_ISREG(os.lstat(volume).st_mode), f"{volume} is a regular file")
    capacity = int(meta["CAP"])
    if meta["FORMAT"] == "RAW":
        require(os.path.getsize(volume) == capacity, f"{volume} is as large as its capacity")
        return
    with open(volume, "rb") as file:
        magic, version, backing, _, _, size = struct.unpack(">4sIQIIQ", file.read(32))
    require(magic == b"QFI\xfb" and version in (2, 3), f"{volume} is qcow2")
    require(backing == 0, f"{volume} stands alone")
    require(size == capacity, f"{volume} has the capacity of its metadata")


def main():
    path = sys.argv[1]
    try:
        found = [read_domain(path, name) for name in sorted(os.listdir(path)) if UUID.match(name)]
    except (Broken, OSError, ValueError, KeyError) as error:
        print(f"not as the format has it: {error}", file=sys.stderr)
        return 1
    json.dump({"domains": found}, sys.stdout)
    return 0


sys.exit(main())
