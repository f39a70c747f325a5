/* store/backup.h — what writing and restoring an archive agree on. The archive is a tar: manifest.json, then every file
 * it lists: {"format":"chiron-backup","version":1,"created_at":…,"members":[{"path","size","sha256"}]}.           */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_STORE_BACKUP_H
#define CHIRON_STORE_BACKUP_H
#define BACKUP_FORMAT "chiron-backup"
#define BACKUP_VERSION 1
#define BACKUP_MANIFEST "manifest.json"
#define BACKUP_MANIFEST_BYTES (256LL * 1024 * 1024)
#define BACKUP_STAGING "backup-staging"   /* below the data folder while a backup is made */
#endif
