/* policy_check: a policy that allows something, and what must hold of each thing that it has
 * allowed. Told from docs/agent.md, and not from the code. */
#ifndef SIDECAR_TESTS_POLICY_CHECK_H
#define SIDECAR_TESTS_POLICY_CHECK_H

#include "common/common.h"
#include "proxy/codex/policy_shell.h"
#include "tests/fuzz/fuzz.h"

#define POLICY_HOME "/home/u"

/* Whoever changes them changes what is below, too. */
static const char policy_rules[] =
	"{\"version\":1,\"deny\":[\"rm +-[a-z]*r\"],\"allow\":[\"git\",\"ls\",\"cat\","
	"\"cd\",\"rm\",\"cp\",\"tee\",\"sed\",\"grep\",\"echo\",\"find\",\"make test\","
	"\"sort\",\"tar\"],\"protected_paths\":[\"/etc\",\"~/.ssh\"],"
	"\"protected_files\":[\".env\",\"*.pem\"],\"write_paths\":[\"/proj\"]}";

/* --- the shell's language ------------------------------------------------------------------- */

/* Behind a "$" these mean that it is one and nothing more. */
static inline bool
is_plain_behind_dollar(char c, bool quoted)
{
	return c == ' ' || c == '\t' || c == '\n' || (quoted && c == '"');
}

/* Where the quotation that begins at `at` ends; 0: it does not, or it is more than its text. */
static inline size_t
end_of_quotation(const char *text, size_t len, size_t at)
{
	const char *end;

	if (text[at] == '\'') {
		end = memchr(text + at + 1, '\'', len - at - 1);
		return end != NULL ? (size_t)(end - text) : 0;
	}
	for (at++; at < len && text[at] != '"'; at++) {
		char next = at + 1 < len ? text[at + 1] : '\0';

		if (text[at] == '`' || (text[at] == '$' && !is_plain_behind_dollar(next, true)))
			return 0;
		if (text[at] == '\\' && next == '\n')
			return 0;
		at += text[at] == '\\';
	}
	return at < len ? at : 0;
}

/* Another reader of the shell's language: is there anything in it whose words depend on more than
 * the text, or that a shell would take for something else than words, lists and redirections? */
static inline bool
is_plain(const char *text, size_t len)
{
	bool word = false; /* inside of one */

	for (size_t i = 0; i < len; i++) {
		char c = text[i], next = i + 1 < len ? text[i + 1] : ' ';

		if (c == '\'' || c == '"') {
			i = end_of_quotation(text, len, i);
			if (i == 0)
				return false;
		} else if (c == '\\') {
			if (++i >= len || next == '\n')
				return false;
		} else if (strchr("`(){}*?[!", c) != NULL || (c == '#' && !word) ||
		           (c == '$' && !is_plain_behind_dollar(next, false)) ||
		           (c == '<' && next == '<')) {
			return false;
		}
		word = strchr(" \t\n;&|<>", c) == NULL;
	}
	return true;
}

/* --- paths ---------------------------------------------------------------------------------- */

/* What a path means in a folder: absolute, without "." and "..". "" is the root. Static. */
static inline const char *
meant_path(const char *folder, const char *path)
{
	static char out[1 << 17];
	char *copy = NULL, *save = NULL;
	size_t used = 0;

	if (path[0] == '~')
		folder = POLICY_HOME;
	HOLDS(asprintf(&copy, "%s/%s", path[0] == '/' ? "" : folder, path + (path[0] == '~')) >= 0);
	HOLDS(strlen(copy) < sizeof(out));
	out[0] = '\0';
	for (char *name = strtok_r(copy, "/", &save); name != NULL;
	     name = strtok_r(NULL, "/", &save)) {
		if (strcmp(name, "..") == 0) {
			while (used > 0 && out[--used] != '/')
				;
			out[used] = '\0';
		} else if (strcmp(name, ".") != 0) {
			used += (size_t)sprintf(out + used, "/%s", name);
		}
	}
	free(copy);
	return out;
}

/* Is it this folder, or below it? */
static inline bool
is_below(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	return strncmp(path, folder, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static inline bool
has_protected_name(const char *path)
{
	for (const char *name = path; (name = strchr(name, '/')) != NULL; name++) {
		size_t len = strcspn(name + 1, "/");

		if ((len == 4 && strncmp(name + 1, ".env", 4) == 0) ||
		    (len >= 4 && strncmp(name + 1 + len - 4, ".pem", 4) == 0))
			return true;
	}
	return false;
}

/* It may be named: neither it, nor what is above it or below it, is protected. */
static inline void
check_named(const char *folder, const char *path)
{
	static const char *const protected[] = {"/etc", POLICY_HOME "/.ssh"};
	const char *meant;

	if (path[0] == '\0')
		return;
	HOLDS(path[0] != '~' || path[1] == '/' || path[1] == '\0');
	meant = meant_path(folder, path);
	for (size_t i = 0; i < NELEM(protected); i++)
		HOLDS(!is_below(meant, protected[i]) && !is_below(protected[i], meant));
	HOLDS(!has_protected_name(meant));
}

static inline void
check_written(const char *folder, const char *path)
{
	HOLDS(path[0] != '\0');
	check_named(folder, path);
	HOLDS(is_below(meant_path(folder, path), "/proj"));
}

/* --- commands ------------------------------------------------------------------------------- */

/* "rm +-[a-z]*r" */
static inline bool
is_denied(const char *text)
{
	for (const char *at = text; (at = strstr(at, "rm")) != NULL; at++) {
		size_t spaces = strspn(at + 2, " ");
		const char *option = at + 2 + spaces;

		if (spaces > 0 && option[0] == '-' &&
		    memchr(option + 1, 'r', strspn(option + 1, "abcdefghijklmnopqrstuvwxyz")) !=
		            NULL)
			return true;
	}
	return false;
}

static inline bool
has_prefix(const struct policy_shell_command *c)
{
	static const char *const first[] = {"git", "ls",   "cat",  "cd",   "rm",   "cp", "tee",
	                                    "sed", "grep", "echo", "find", "sort", "tar"};

	for (size_t i = 0; i < NELEM(first); i++)
		if (strcmp(c->words[0], first[i]) == 0)
			return true;
	return c->count > 1 && strcmp(c->words[0], "make") == 0 && strcmp(c->words[1], "test") == 0;
}

/* Programs that write what they name, and what they must not be told. */
static inline void
check_program(const struct policy_shell_command *c, const char *folder)
{
	static const char *const running[] = {"-exec", "-execdir", "-ok", "-okdir"};
	const char *name = c->words[0];
	bool writes =
		strcmp(name, "rm") == 0 || strcmp(name, "cp") == 0 || strcmp(name, "tee") == 0;
	bool finds = strcmp(name, "find") == 0, options = true;

	for (size_t i = 1; i < c->count; i++) {
		const char *word = c->words[i];

		for (size_t k = 0; finds && k < NELEM(running); k++)
			HOLDS(strcmp(word, running[k]) != 0);
		if (options && strcmp(word, "--") == 0)
			options = false;
		else if (writes && (!options || word[0] != '-' || word[1] == '\0'))
			check_written(folder, word);
	}
}

static inline void
check_simple_command(const struct policy_shell_command *c, const char *folder)
{
	struct json_buf line = {.data = NULL};

	HOLDS(has_prefix(c));
	for (size_t i = 0; i < c->count; i++) {
		HOLDS(strstr(c->words[i], "://") == NULL); /* "network": "deny" */
		check_named(folder, c->words[i]);
		json_buf_append(&line, c->words[i], strlen(c->words[i]));
		json_buf_append(&line, " ", i + 1 < c->count);
	}
	json_buf_append(&line, "", 1);
	HOLDS(!is_denied(line.data));
	json_buf_free(&line);
	check_program(c, folder);
	for (size_t i = 0; i < c->redirect_count; i++) {
		if (strcmp(c->redirects[i].target, "/dev/null") == 0)
			continue;
		check_named(folder, c->redirects[i].target);
		if (c->redirects[i].write)
			check_written(folder, c->redirects[i].target);
	}
}

/* A command line that has been allowed by policy_rules, to run in this folder. */
static inline void
check_allowed_command(const char *text, size_t len, const char *cwd)
{
	const char *why;
	char *copy = strndup(text, len), *folder = strdup(cwd);
	struct policy_shell *shell = policy_shell_split(text, len, &why);
	const struct policy_shell_command *c;

	HOLDS(copy != NULL && folder != NULL && shell != NULL);
	HOLDS(strlen(copy) == len && is_plain(text, len) && !is_denied(copy));
	HOLDS(cwd[0] == '/');
	check_named("", cwd);
	c = &shell->commands[0];
	if (!has_prefix(c)) { /* a shell around it: once */
		HOLDS(shell->count == 1 && c->count == 3 && c->redirect_count == 0);
		free(copy);
		copy = strdup(c->words[2]);
		HOLDS(copy != NULL && is_plain(copy, strlen(copy)) && !is_denied(copy));
		free(shell);
		shell = policy_shell_split(copy, strlen(copy), &why);
		HOLDS(shell != NULL);
	}
	for (size_t i = 0; i < shell->count; i++) {
		c = &shell->commands[i];
		check_simple_command(c, folder);
		if (strcmp(c->words[0], "cd") != 0)
			continue;
		HOLDS(i == 0 && c->count == 2 && c->next == POLICY_SHELL_NEXT_AND);
		free(folder);
		folder = strdup(meant_path(cwd, c->words[1]));
		HOLDS(folder != NULL);
	}
	free(shell);
	free(folder);
	free(copy);
}

#endif
