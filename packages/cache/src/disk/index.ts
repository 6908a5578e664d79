export { DiskFolder, type DiskFolderOptions, openDiskLayer } from './disk-folder.js';
export { DiskLayer, type DiskLayerOptions, type DiskLayerStats } from './disk-layer.js';
