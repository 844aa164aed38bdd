/*
 * Reading YAML (1.1, by libyaml) into a tree that knows its lines.
 * Rooms: those below config. Ownership: the tree and its texts live in the arena. Threads: any.
 *
 * What makes a file of settings say something else than it seems to is refused: anchors and
 * aliases, tags, a second document, a key that stands twice.
 */
#ifndef HOLDFAST_CONFIG_YAML_TREE_H
#define HOLDFAST_CONFIG_YAML_TREE_H

#include "base/arena.h"
#include "base/buf.h"

enum { YAML_TREE_BYTES_MAX = 1 << 20, YAML_TREE_DEPTH_MAX = 16, YAML_TREE_NODES_MAX = 20000 };

enum yaml_tree_kind { YAML_TREE_TEXT, YAML_TREE_LIST, YAML_TREE_MAP };

struct yaml_tree {
    enum yaml_tree_kind kind;
    int line;                /* from 1; of a map's entry, that of its key */
    struct str key;          /* in a map; else empty */
    struct str text;         /* of a text, NUL-terminated */
    bool quoted;             /* a text in quotes: "true" is a word then, and "" not nothing */
    struct yaml_tree *first; /* of a list or map */
    struct yaml_tree *next;  /* the one behind it in the list or map */
};

/* Outcome: *problems has a line "NAME:LINE: what is wrong". */
enum { YAML_TREE_INVALID = 1 };

/*
 * Reads a document whose outermost node is a map; an empty one is an empty map. name is what
 * problems call it. Returns 0, YAML_TREE_INVALID, FAULT_MEMORY or FAULT_LIMIT (of the arena).
 */
int yaml_tree_read(struct arena *a, const char *name, struct str text, struct buf *problems,
                   struct yaml_tree **ret);

/* The entry of a map, or NULL. */
const struct yaml_tree *yaml_tree_get(const struct yaml_tree *map, struct str key);

#endif
