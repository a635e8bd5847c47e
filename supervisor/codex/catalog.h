/* catalog: Codex's model catalog without its prompts, its tools and its cutting of history. Pure.
 */
#ifndef SIDECAR_CODEX_CATALOG_H
#define SIDECAR_CODEX_CATALOG_H

#include <stdbool.h>

#include "common/err.h"

/* text: what `codex debug models` prints. *out: the catalog for -c model_catalog_json, caller
 * frees. keep_instructions: leave Codex's own base instructions in. keep_tools: its shell and its
 * patches, too. */
int catalog_transform(char **out, size_t *out_len, const char *text, size_t len,
                      bool keep_instructions, bool keep_tools, struct err *err) MUST_CHECK;

#endif
