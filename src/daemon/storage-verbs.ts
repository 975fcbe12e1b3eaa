/** The verbs of storage, each with what does it. */
import * as domain from '../../schemas/domain.ts';
import * as image from '../../schemas/image.ts';
import { type ServedVerb, serve } from '../rpc/rpc-server.ts';
import type { Storage } from '../storage/storage.ts';

export function storageVerbs({ implementations: does }: Storage): ServedVerb[] {
  return [
    serve(domain.createStorageDomain, does.createStorageDomain),
    serve(domain.connectStorageDomain, does.connectStorageDomain),
    serve(domain.disconnectStorageDomain, does.disconnectStorageDomain),
    serve(domain.listStorageDomains, does.listStorageDomains),
    serve(domain.getStorageDomainStatus, does.getStorageDomainStatus),
    serve(image.createImage, does.createImage),
    serve(image.importImage, does.importImage),
    serve(image.copyImage, does.copyImage),
    serve(image.continueImageCopy, does.continueImageCopy),
    serve(image.convertImage, does.convertImage),
    serve(image.checkImage, does.checkImage),
    serve(image.getImageStatus, does.getImageStatus),
    serve(image.listImages, does.listImages),
    serve(image.deleteImage, does.deleteImage),
  ];
}
