/* policy_shell: a command line as simple commands, or the reason why it cannot be told. Pure.
 *
 * Only what every POSIX shell reads alike, and whose words are known without running anything, is
 * split: words, quotes, pipes, lists, plain redirections. Expansions, substitutions, globs,
 * subshells, here-documents, assignments, comments and the like are refused. */
#ifndef SIDECAR_PROXY_CODEX_POLICY_SHELL_H
#define SIDECAR_PROXY_CODEX_POLICY_SHELL_H

#include <stdbool.h>
#include <stddef.h>

#define POLICY_SHELL_MAX_BYTES     16384
#define POLICY_SHELL_MAX_WORD      4096 /* longer ones name no file */
#define POLICY_SHELL_MAX_WORDS     1024
#define POLICY_SHELL_MAX_COMMANDS  64
#define POLICY_SHELL_MAX_REDIRECTS 64

/* What stands behind a command. */
enum policy_shell_next {
	POLICY_SHELL_NEXT_OTHER, /* ";", "&", "||", a new line, or the end */
	POLICY_SHELL_NEXT_AND,
	POLICY_SHELL_NEXT_PIPE,
};

struct policy_shell_redirect {
	bool write;
	const char *target;
};

struct policy_shell_command {
	char **words; /* without quotes; at least one */
	size_t count;
	const struct policy_shell_redirect *redirects;
	size_t redirect_count;
	enum policy_shell_next next;
};

struct policy_shell {
	struct policy_shell_command commands[POLICY_SHELL_MAX_COMMANDS];
	size_t count;
	char *words[POLICY_SHELL_MAX_WORDS];
	size_t word_count;
	struct policy_shell_redirect redirects[POLICY_SHELL_MAX_REDIRECTS];
	size_t redirect_count;
	char text[2 * POLICY_SHELL_MAX_BYTES]; /* of the words, each with its NUL */
	size_t used;
};

/* NULL, and *why it is refused. The caller frees. */
struct policy_shell *policy_shell_split(const char *text, size_t len, const char **why);
/* Are there characters that a reader would not see, or no valid UTF-8? */
const char *policy_shell_hidden(const char *text, size_t len);

#endif
