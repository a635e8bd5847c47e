/* The policy of the agent profile: nothing is allowed of which a part is not understood.
 *
 * Input: a policy on one line (none: the one of policy_check.h), then the command. */
#include "proxy/codex/policy.h"

#include <string.h>
#include <wordexp.h>

#include "proxy/codex/policy_shell.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/policy_check.h"

#define CWD "/proj/src"

/* libc's reader of words, where it has an opinion: one command and no operator. */
static void
libc_agrees(const struct policy_shell *shell, const char *text)
{
	const struct policy_shell_command *c = &shell->commands[0];
	wordexp_t words;

	/* it would look up who lives at a tilde, what is quoted may become a pattern, and it makes
	 * a word too many of ''<tab>''x */
	if (shell->count != 1 || shell->redirect_count > 0 || strpbrk(text, "~*?[\n") != NULL ||
	    strstr(text, "''") != NULL || strstr(text, "\"\"") != NULL ||
	    wordexp(text, &words, WRDE_NOCMD | WRDE_UNDEF) != 0)
		return;
	HOLDS(words.we_wordc == c->count);
	for (size_t i = 0; i < c->count; i++)
		HOLDS(strcmp(words.we_wordv[i], c->words[i]) == 0);
	wordfree(&words);
}

static void
append_quoted(struct json_buf *out, const char *word)
{
	json_buf_append(out, "'", 1);
	for (; *word != '\0'; word++) {
		if (*word == '\'')
			json_buf_append(out, "'\\''", 4);
		else
			json_buf_append(out, word, 1);
	}
	json_buf_append(out, "' ", 2);
}

/* The words of each command, all quoted, are the same words. */
static void
quoting_changes_nothing(const struct policy_shell *shell)
{
	for (size_t i = 0; i < shell->count; i++) {
		const struct policy_shell_command *c = &shell->commands[i];
		struct json_buf text = {.data = NULL};
		struct policy_shell *again;
		const char *why;
		bool tilde = false;

		HOLDS(c->count > 0 && c->words[0][0] != '\0');
		for (size_t k = 0; k < c->count; k++) {
			append_quoted(&text, c->words[k]);
			tilde |= c->words[k][0] == '~';
		}
		again = policy_shell_split(text.data, text.len, &why);
		HOLDS(again != NULL || tilde || text.len > POLICY_SHELL_MAX_BYTES);
		if (again != NULL) {
			HOLDS(again->count == 1 && again->redirect_count == 0);
			HOLDS(again->commands[0].count == c->count);
			for (size_t k = 0; k < c->count; k++)
				HOLDS(strcmp(again->commands[0].words[k], c->words[k]) == 0);
		}
		free(again);
		json_buf_free(&text);
	}
}

static void
check_decision(const struct policy_decision *d)
{
	HOLDS(memchr(d->reason, '\0', sizeof(d->reason)) != NULL && d->reason[0] != '\0');
	HOLDS(memchr(d->program, '\0', sizeof(d->program)) != NULL);
	for (const char *at = d->program; *at != '\0'; at++)
		HOLDS(*at > ' ' && *at <= '~');
	HOLDS(d->allow == (strcmp(d->reason, "allowed") == 0));
}

static void
check_command(const struct policy *p, bool ours, const char *text, size_t len)
{
	struct policy_decision d = policy_decide_command(p, text, len, CWD);
	const char *why = NULL;
	struct policy_shell *shell = policy_shell_split(text, len, &why);
	AUTO_FREE char *copy = strndup(text, len);

	HOLDS(copy != NULL && (shell != NULL) == (why == NULL));
	check_decision(&d);
	HOLDS(!d.allow || shell != NULL);
	if (shell != NULL) {
		HOLDS(is_plain(text, len));
		libc_agrees(shell, copy);
		quoting_changes_nothing(shell);
	}
	if (d.allow && ours)
		check_allowed_command(text, len, CWD);
	free(shell);
	/* the whole as the name of a file */
	d = policy_decide_patch(p, (const char *const[]){copy}, 1, CWD);
	check_decision(&d);
	if (d.allow && ours)
		check_written(CWD, copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct policy *usual;
	const char *rest = (const char *)data, *line;
	size_t left = size, len;
	struct json_buf mistakes = {.data = NULL};
	struct policy *p;

	if (usual == NULL)
		usual = policy_parse(policy_rules, sizeof(policy_rules) - 1, POLICY_HOME,
		                     &mistakes);
	HOLDS(usual != NULL && mistakes.len == 0);
	if (!fuzz_line(&rest, &left, &line, &len))
		return 0;
	if (len == 0) {
		check_command(usual, true, rest, left);
		return 0;
	}
	p = policy_parse(line, len, POLICY_HOME, &mistakes);
	HOLDS((p == NULL) == (mistakes.len > 0));
	HOLDS(mistakes.len == 0 || mistakes.data[mistakes.len - 1] == '\n');
	check_command(p, false, rest, left);
	policy_free(p);
	json_buf_free(&mistakes);
	return 0;
}
