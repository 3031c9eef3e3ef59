/*
 * The simulated disk: files and directories that forget what was not synced.
 *
 * Owns: the content of every file in three views, and the names in two.
 *   cached   what ordinary reads see
 *   device   what direct reads see: cached, but for sectors whose sync failed
 *   durable  what a power loss leaves for certain
 * Must never: ask for the time, inject a fault by itself (world.c decides), copy a file whole.
 * Called by: world.c; its tests.
 *
 * 1. The unit of loss is a sector of HF_FS_SECTOR_BYTES. A sector is clean (all views are equal),
 *    dirty (sync will make it durable), or stranded (its sync failed: Linux marks the page clean,
 *    so later syncs pass over it, cached reads show it, direct reads and a power loss do not; writing
 *    it again makes it dirty).
 * 2. A direct read writes dirty sectors to the device first but does not flush the device: they stay
 *    dirty, a power loss may still take them.
 * 3. A name (create, rename, remove, make directory) is durable once its directory was synced.
 * 4. What is not durable belongs to the machine that did it. A power loss of a machine takes from what
 *    is its own; each sector and each name is kept or lost at random, one sector a file may tear.
 * 5. "", "." and "/" are the root directory, which always exists. Other paths need their parent.
 */
#ifndef HF_TESTS_SIM_FS_SIM_H
#define HF_TESTS_SIM_FS_SIM_H

#include "base/errors.h"
#include "outside/outside.h"
#include "sim/sim_random.h"

#define HF_FS_SECTOR_BYTES   512
#define HF_FS_PATH_BYTES_MAX 256
#define HF_FS_MACHINES_MAX   32 /* that share a disk; their numbers are bits of a mask */

struct hf_fs;
struct hf_fs_file; /* an inode; lives while a name or a handle holds it */

/* How a power loss treats what was not synced. */
struct hf_fs_loss {
    uint32_t sector_lost_ppm; /* for each dirty sector */
    uint32_t name_lost_ppm;   /* for each name operation that was not synced */
    uint32_t all_or_none_ppm; /* a file or directory goes one way as a whole */
    uint32_t torn_ppm;        /* for each file with dirty sectors: one of them tears */
    bool torn_garbage; /* a torn sector is noise; else new bytes up to a point, then old ones */
};

struct hf_fs *hf_fs_new(void);
void hf_fs_free(struct hf_fs *fs);

/* Files that extend past the budget fail with HF_ERR_NO_SPACE; UINT64_MAX = no limit. */
void hf_fs_budget_set(struct hf_fs *fs, uint64_t budget_bytes);
uint64_t hf_fs_used_bytes(const struct hf_fs *fs);

/* As struct hf_outside's functions of the same name. machine < HF_FS_MACHINES_MAX does it. */
enum hf_err hf_fs_make_directory(struct hf_fs *fs, uint32_t machine, const char *path);
enum hf_err hf_fs_list(struct hf_fs *fs, const char *path, hf_list_fn each, void *context);
enum hf_err hf_fs_sync_directory(struct hf_fs *fs, const char *path);
enum hf_err hf_fs_rename(struct hf_fs *fs, uint32_t machine, const char *from, const char *to);
enum hf_err hf_fs_remove(struct hf_fs *fs, uint32_t machine, const char *path);
/* Takes a reference on *file: give it back by hf_fs_close. */
enum hf_err hf_fs_open(struct hf_fs *fs, uint32_t machine, const char *path, bool create_new,
                       struct hf_fs_file **file);
void hf_fs_close(struct hf_fs *fs, struct hf_fs_file *file);
uint64_t hf_fs_size(const struct hf_fs_file *file);
/* Returns the bytes that were there. */
size_t hf_fs_read(const struct hf_fs_file *file, bool direct, uint64_t offset, void *data,
                  size_t size_bytes);
/* HF_ERR_NO_SPACE (nothing written) or OK. */
enum hf_err hf_fs_write(struct hf_fs *fs, uint32_t machine, struct hf_fs_file *file,
                        uint64_t offset, const void *data, size_t size_bytes);
enum hf_err hf_fs_truncate(struct hf_fs *fs, uint32_t machine, struct hf_fs_file *file,
                           uint64_t size_bytes);
void hf_fs_sync(struct hf_fs_file *file);
/* A sync that fails: each dirty sector is made durable or stranded, at random, at least one stranded. */
void hf_fs_sync_failed(struct hf_fs_file *file, struct hf_sim_random *random);
/* A sync that a power loss interrupts: a random part of the dirty sectors became durable. */
void hf_fs_sync_partly(struct hf_fs_file *file, struct hf_sim_random *random);

/* Power loss of the machines in the mask (bit = number). */
void hf_fs_power_loss(struct hf_fs *fs, uint32_t machines, const struct hf_fs_loss *loss,
                      struct hf_sim_random *random);
/* The page cache drops clean pages: stranded sectors show what the device has. */
void hf_fs_evict(struct hf_fs *fs);

/* For tests and tools: flips bits of a file in all views. HF_ERR_NOT_FOUND, HF_ERR_LIMIT (offset). */
enum hf_err hf_fs_damage(struct hf_fs *fs, const char *path, uint64_t offset, uint8_t flip);
/* Every invariant by a walk; aborts if one is broken. */
void hf_fs_verify(const struct hf_fs *fs);

#endif
