/* policy: what the agent profile lets codex's own tools do, by a file of rules. */
#include "proxy/codex/policy.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proxy/codex/policy_internal.h"
#include "proxy/codex/policy_path.h"
#include "proxy/codex/policy_programs.h"

#define MAX_CANDIDATES  256 /* places in a word where a path could begin */
/* Names held against rules in one decision: some 10 ms. A real command needs a tenth of it. */
#define MAX_COMPARISONS 200000

struct check {
	const struct policy *p;
	char cwd[POLICY_PATH_MAX];
	size_t comparisons;
	struct policy_decision *out; /* its reason is set when something is denied */
};

/* Always false, so that a check reads "return deny(...)". */
static bool PRINTF_LIKE(2, 3) deny(struct policy_decision *out, const char *fmt, ...)
{
	va_list ap;

	out->allow = false;
	va_start(ap, fmt);
	(void)vsnprintf(out->reason, sizeof(out->reason), fmt, ap); /* cut if longer */
	va_end(ap);
	return false;
}

static struct policy_decision
start(const struct policy *p)
{
	struct policy_decision d = {.allow = false};

	if (p == NULL)
		deny(&d, "no policy could be read");
	else if (p->kill_switch)
		deny(&d, "kill_switch");
	return d;
}

static struct policy_decision
allow(void)
{
	return (struct policy_decision){.allow = true, .reason = "allowed"};
}

/* --- paths ---------------------------------------------------------------------------------- */

static bool
is_unprotected(struct check *c, const char *path)
{
	const struct policy *p = c->p;
	size_t names = 0;

	for (const char *slash = path; (slash = strchr(slash, '/')) != NULL; slash++)
		names++;
	c->comparisons += names * p->protected_files.count + p->protected_paths.count;
	if (c->comparisons > MAX_COMPARISONS)
		return deny(c->out, "too much to compare");
	for (size_t i = 0; i < p->protected_paths.count; i++) {
		switch (policy_path_match(p->protected_paths.items[i], path)) {
		case POLICY_PATH_OUTSIDE:
			break;
		case POLICY_PATH_INSIDE:
			return deny(c->out, "protected_paths[%zu]", i);
		case POLICY_PATH_ABOVE:
			return deny(c->out, "a folder that holds protected_paths[%zu]", i);
		}
	}
	for (size_t i = 0; i < p->protected_files.count; i++) {
		if (policy_path_has_name(p->protected_files.items[i], path))
			return deny(c->out, "protected_files[%zu]", i);
	}
	return true;
}

static bool
may_write(struct check *c, const char *text, size_t len)
{
	char path[POLICY_PATH_MAX];

	if (policy_path_resolve(path, text, len, c->cwd[0] != '\0' ? c->cwd : NULL, c->p->home) < 0)
		return deny(c->out, "a path that cannot be resolved");
	if (!is_unprotected(c, path))
		return false;
	for (size_t i = 0; i < c->p->write_paths.count; i++) {
		if (policy_path_match(c->p->write_paths.items[i], path) == POLICY_PATH_INSIDE)
			return true;
	}
	return deny(c->out, "a file outside write_paths");
}

/* Does a path that is a part of a word name what is protected? */
static bool
may_name(struct check *c, const char *text, size_t len)
{
	char path[POLICY_PATH_MAX];

	if (len == 0)
		return true;
	if (policy_path_resolve(path, text, len, c->cwd, c->p->home) < 0)
		return text[0] == '~' ? deny(c->out, "a path that cannot be resolved")
		                      : deny(c->out, "a path that is too long");
	return is_unprotected(c, path);
}

static bool
is_separator(char ch)
{
	return ch != '\0' && strchr("=:,@;|&<>()'\"` \t\n", ch) != NULL;
}

/* Every part of a word that a program could take for a path: from the beginning, a separator, or
 * right behind an option's letter, to the next separator or the end. */
static bool
may_appear(struct check *c, const char *word)
{
	size_t candidates = 0;
	bool letters = false; /* nothing but an option's letters so far */

	for (size_t i = 0; word[i] != '\0'; i++) {
		size_t part = 0;

		letters = letters && i > 1 && isalnum((unsigned char)word[i - 1]);
		if (i == 1)
			letters = word[0] == '-';
		if (i > 0 && !is_separator(word[i - 1]) && !(letters && i > 1))
			continue;
		if (word[i] == '~' && i > 0 && isdigit((unsigned char)word[i + 1]))
			continue; /* "about ~5": no shell expands it to a folder of someone */
		if (++candidates > MAX_CANDIDATES)
			return deny(c->out, "a word of too many parts");
		while (word[i + part] != '\0' && !is_separator(word[i + part]))
			part++;
		if (!may_name(c, word + i, part) || !may_name(c, word + i, strlen(word + i)))
			return false;
	}
	return true;
}

/* The arguments of a program that changes files. */
static bool
may_change(struct check *c, const struct policy_shell_command *cmd)
{
	bool options = true;

	for (size_t i = 1; i < cmd->count; i++) {
		const char *word = cmd->words[i];
		const char *value = strchr(word, '=');

		if (options && strcmp(word, "--") == 0) {
			options = false;
		} else if (options && word[0] == '-' && word[1] != '\0') {
			if (strpbrk(word, "/~=.") != NULL)
				return deny(c->out, "an option that could name a file to write");
		} else if (!may_write(c, word, strlen(word)) ||
		           (value != NULL && !may_write(c, value + 1, strlen(value + 1)))) {
			return false;
		}
	}
	return true;
}

/* --- commands ------------------------------------------------------------------------------- */

/* For the log: a name that is long or odd may be no name but a secret. */
static void
note_program(struct policy_decision *out, const char *name)
{
	size_t len = strlen(name);

	if (len >= sizeof(out->program) ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-") !=
	            len)
		name = "";
	strcpy(out->program, name);
}

static bool
is_prefix(const struct policy_shell_command *prefix, const struct policy_shell_command *cmd)
{
	if (cmd->count < prefix->count)
		return false;
	for (size_t i = 0; i < prefix->count; i++) {
		if (strcmp(prefix->words[i], cmd->words[i]) != 0)
			return false;
	}
	/* What runs other commands is allowed word for word only. */
	return cmd->count == prefix->count || !policy_program_launches(cmd);
}

static bool
is_allowed(struct check *c, const struct policy_shell_command *cmd)
{
	for (size_t i = 0; i < c->p->allow_count; i++) {
		if (is_prefix(&c->p->allow[i]->commands[0], cmd))
			return true;
	}
	if (policy_program_launches(cmd))
		return deny(c->out, "a command that runs others, not allowed word for word");
	return deny(c->out, "a command that no prefix allows");
}

static bool
matches_no_deny(struct check *c, const char *text)
{
	for (size_t i = 0; i < c->p->deny_count; i++) {
		/* anything but a clear no counts as a match: it may be out of memory */
		if (regexec(&c->p->deny[i], text, 0, NULL, 0) != REG_NOMATCH)
			return deny(c->out, "deny[%zu]", i);
	}
	return true;
}

/* The words without their quotes, one space between two. */
static bool
words_match_no_deny(struct check *c, const struct policy_shell_command *cmd)
{
	struct json_buf line = {.data = NULL};
	bool ok;

	for (size_t i = 0; i < cmd->count; i++) {
		json_buf_append(&line, cmd->words[i], strlen(cmd->words[i]));
		json_buf_append(&line, i + 1 < cmd->count ? " " : "", 1);
	}
	ok = line.failed ? deny(c->out, "no memory") : matches_no_deny(c, line.data);
	json_buf_free(&line);
	return ok;
}

static bool
redirects_are_fine(struct check *c, const struct policy_shell_command *cmd)
{
	for (size_t i = 0; i < cmd->redirect_count; i++) {
		const struct policy_shell_redirect *to = &cmd->redirects[i];
		size_t len = strlen(to->target);

		if (strcmp(to->target, "/dev/null") == 0)
			continue;
		if (len == 0)
			return deny(c->out, "a path that cannot be resolved");
		if (to->write ? !may_write(c, to->target, len) : !may_name(c, to->target, len))
			return false;
	}
	return true;
}

/* cd: only where what follows surely runs in the new folder. */
static bool
change_folder(struct check *c, const struct policy_shell_command *cmd, bool first)
{
	char path[POLICY_PATH_MAX];

	if (!first || cmd->next != POLICY_SHELL_NEXT_AND || cmd->count != 2 ||
	    cmd->words[1][0] == '-' || cmd->words[1][0] == '\0')
		return deny(c->out, "a change of folder other than: cd FOLDER && ...");
	if (policy_path_resolve(path, cmd->words[1], strlen(cmd->words[1]), c->cwd, c->p->home) < 0)
		return deny(c->out, "a path that cannot be resolved");
	strcpy(c->cwd, path);
	return true;
}

static bool
command_is_fine(struct check *c, const struct policy_shell_command *cmd, bool first)
{
	const char *name = policy_program_name(cmd);

	note_program(c->out, name);
	if (!words_match_no_deny(c, cmd) || !is_allowed(c, cmd) || !redirects_are_fine(c, cmd))
		return false;
	for (size_t i = 0; i < cmd->count; i++) {
		if (!may_appear(c, cmd->words[i]))
			return false;
	}
	if (!c->p->network && policy_program_talks(cmd))
		return deny(c->out, "network");
	if (policy_program_writes(cmd) && !may_change(c, cmd))
		return false;
	if (strcmp(name, "pushd") == 0 || strcmp(name, "popd") == 0)
		return deny(c->out, "a change of folder other than: cd FOLDER && ...");
	return strcmp(name, "cd") != 0 || change_folder(c, cmd, first);
}

/* Does all that follows the first command run only if it succeeds? */
static bool
hangs_on_first(const struct policy_shell *shell)
{
	for (size_t i = 0; i + 1 < shell->count; i++) {
		if (shell->commands[i].next == POLICY_SHELL_NEXT_OTHER)
			return false;
	}
	return true;
}

static bool
commands_are_fine(struct check *c, const struct policy_shell *shell)
{
	bool hangs = hangs_on_first(shell);

	for (size_t i = 0; i < shell->count; i++) {
		if (!command_is_fine(c, &shell->commands[i], i == 0 && hangs))
			return false;
	}
	return true;
}

/* Is it [ba]sh -c or -lc with a script, the third word, and nothing else? */
static bool
is_wrapper(const struct policy_shell *shell)
{
	static const char *const shells[] = {"bash",      "/bin/bash",    "/usr/bin/bash",
	                                     "sh",        "/bin/sh",      "/usr/bin/sh",
	                                     "/bin/dash", "/usr/bin/dash"};
	const struct policy_shell_command *c = &shell->commands[0];

	if (shell->count != 1 || shell->redirect_count != 0 || c->count != 3)
		return false;
	if (strcmp(c->words[1], "-c") != 0 && strcmp(c->words[1], "-lc") != 0)
		return false;
	for (size_t i = 0; i < NELEM(shells); i++) {
		if (strcmp(shells[i], c->words[0]) == 0)
			return true;
	}
	return false;
}

static bool
set_folder(struct check *c, const char *cwd)
{
	if (cwd == NULL || cwd[0] != '/' || policy_shell_hidden(cwd, strlen(cwd)) != NULL ||
	    policy_path_resolve(c->cwd, cwd, strlen(cwd), NULL, NULL) < 0)
		return deny(c->out, "no folder to work in");
	return true;
}

/* shell: taken over; NULL: why. */
static struct policy_decision
decide(const struct policy *p, struct policy_shell *shell, const char *why, const char *cwd)
{
	struct policy_decision d = {.allow = false};
	struct check c = {.p = p, .out = &d};
	bool ok = true;

	if (shell != NULL && is_wrapper(shell)) {
		const char *script = shell->commands[0].words[2];
		struct policy_shell *inner = policy_shell_split(script, strlen(script), &why);

		ok = matches_no_deny(&c, script);
		free(shell);
		shell = inner;
	}
	if (ok && shell == NULL)
		ok = deny(&d, "not understood: %s", why);
	ok = ok && set_folder(&c, cwd) && is_unprotected(&c, c.cwd) && commands_are_fine(&c, shell);
	free(shell);
	if (ok) {
		d.allow = true;
		strcpy(d.reason, "allowed");
	}
	return d;
}

struct policy_decision
policy_decide_command(const struct policy *p, const char *command, size_t len, const char *cwd)
{
	struct policy_decision d = start(p);
	struct check c = {.p = p, .out = &d};
	struct policy_shell *shell;
	const char *why = NULL;

	if (d.reason[0] != '\0')
		return d;
	shell = policy_shell_split(command, len, &why);
	if (shell != NULL) {
		AUTO_FREE char *text = strndup(command, len);

		if (text == NULL || !matches_no_deny(&c, text)) {
			if (text == NULL)
				deny(&d, "no memory");
			free(shell);
			return d;
		}
	}
	return decide(p, shell, why, cwd);
}

struct policy_decision
policy_decide_patch(const struct policy *p, const char *const *paths, size_t count, const char *cwd)
{
	struct policy_decision d = start(p);
	struct check c = {.p = p, .out = &d};

	if (d.reason[0] != '\0')
		return d;
	if (count == 0) {
		deny(&d, "no file");
		return d;
	}
	if (cwd != NULL && !set_folder(&c, cwd))
		return d;
	for (size_t i = 0; i < count; i++) {
		if (policy_shell_hidden(paths[i], strlen(paths[i])) != NULL) {
			deny(&d, "a path with hidden characters");
			return d;
		}
		if (paths[i][0] == '~') {
			deny(&d, "a path that cannot be resolved");
			return d;
		}
		if (!may_write(&c, paths[i], strlen(paths[i])))
			return d;
	}
	return allow();
}

bool
policy_is_killed(const struct policy *p)
{
	return p->kill_switch;
}

struct policy_places
policy_places(const struct policy *p)
{
	struct policy_places places = {.write = NULL};

	if (p == NULL)
		return places;
	places.write = (const char *const *)p->write_paths.items;
	places.write_count = p->write_paths.count;
	places.paths = (const char *const *)p->protected_paths.items;
	places.path_count = p->protected_paths.count;
	places.files = (const char *const *)p->protected_files.items;
	places.file_count = p->protected_files.count;
	places.network = p->network;
	return places;
}
