/*
 * Inside the simulated disk: what fs_sim.c (names, crashes) and fs_file.c (content) share.
 * Called by: these two.
 */
#ifndef HF_TESTS_SIM_FS_PRIV_H
#define HF_TESTS_SIM_FS_PRIV_H

#include "sim/fs_sim.h"

enum sector_state {
    SECTOR_CLEAN,
    SECTOR_DIRTY,
    SECTOR_STRANDED,
};

struct hf_fs_file {
    struct hf_fs_file *previous; /* in the order of creation */
    struct hf_fs_file *next;     /* the same */
    uint8_t *cached;             /* zero from size on */
    uint8_t *durable;            /* zero from durable_size on */
    uint8_t *sectors;            /* enum sector_state of each */
    size_t capacity_bytes;       /* of cached and durable */
    size_t size_bytes;           /* cached */
    size_t durable_bytes;        /* size that a power loss leaves */
    size_t touched_first;  /* sectors outside of touched_first … touched_end - 1 are clean */
    size_t touched_end;    /* the same; equal = none */
    size_t stranded_count; /* sectors */
    uint32_t machine;      /* that wrote last */
    uint32_t references;   /* names in both views, operations on names, handles */
    bool directory;        /* no content */
    bool linked;           /* has a cached name: counts towards used_bytes */
};

/* A path in both views. */
struct name {
    char *path;                 /* owned; normal form */
    uint64_t hash;              /* of path */
    struct hf_fs_file *cached;  /* NULL: not there */
    struct hf_fs_file *durable; /* NULL: not there */
};

/* A change of names that was not synced. */
struct name_change {
    uint32_t machine;        /* that did it */
    char *from;              /* owned; the name that goes, or NULL */
    char *to;                /* owned; the name that comes, or NULL */
    struct hf_fs_file *file; /* what it names */
};

struct hf_fs {
    struct hf_fs_file *first;    /* all files */
    struct hf_fs_file *last;     /* the same */
    struct name *names;          /* owned */
    size_t name_count;           /* used */
    size_t name_capacity;        /* allocated */
    struct name_change *changes; /* owned; oldest first */
    size_t change_count;         /* used */
    size_t change_capacity;      /* allocated */
    uint64_t used_bytes;         /* of linked files */
    uint64_t budget_bytes;       /* the most */
};

/* fs_file.c */
void fs_file_power_loss(struct hf_fs *fs, struct hf_fs_file *file, const struct hf_fs_loss *loss,
                        struct hf_sim_random *random);
/* Stranded sectors show what the device has. */
void fs_file_evict(struct hf_fs_file *file);
void fs_file_verify(const struct hf_fs_file *file);

#endif
