/* binary: where the native codex is, also behind npm's Node shim. */
#ifndef SIDECAR_CODEX_BINARY_H
#define SIDECAR_CODEX_BINARY_H

#include "common/common.h"
#include "common/err.h"

/* wanted: a path, or a name to look for on PATH. *out: an absolute path of a native executable,
 * caller frees. A script that is npm's shim is followed to the program it would run: the shim costs
 * 44 MB, and does not die with us. Any other script is refused by nobody: *out is it. */
int codex_binary_find(char **out, const char *wanted, struct err *err) MUST_CHECK;
/* "path size mtime": changes whenever another codex is installed there. Caller frees; NULL: gone,
 * or no memory. Any file will do. */
char *codex_file_key(const char *path);

#endif
