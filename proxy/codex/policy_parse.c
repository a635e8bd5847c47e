/* policy_parse: the file of rules, every mistake in it at once. */
#include "proxy/codex/policy_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proxy/codex/policy_path.h"

#define MAX_PATTERN 1024 /* of a deny pattern, in bytes */

struct reader {
	struct policy *policy;
	struct json_buf *mistakes;
	bool wrong;
};

static void PRINTF_LIKE(2, 3) mistake(struct reader *r, const char *fmt, ...)
{
	char line[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap); /* longer ones are cut */
	va_end(ap);
	json_buf_append(r->mistakes, line, strlen(line));
	json_buf_append(r->mistakes, "\n", 1);
	r->wrong = true;
}

/* --- one rule of each kind: 0, or the mistake has been told ----------------------------------- */

static void
read_deny(struct reader *r, const char *key, size_t i, const char *text)
{
	struct policy *p = r->policy;
	char why[128];
	int code;

	if (strlen(text) > MAX_PATTERN) {
		mistake(r, "%s[%zu]: longer than %d bytes", key, i, MAX_PATTERN);
		return;
	}
	for (const char *back = text; (back = strchr(back, '\\')) != NULL && back[1] != '\0';
	     back += 2) {
		if (back[1] >= '1' && back[1] <= '9') {
			mistake(r, "%s[%zu]: back-references are not supported", key, i);
			return;
		}
	}
	code = regcomp(&p->deny[p->deny_count], text, REG_EXTENDED | REG_NOSUB);
	if (code != 0) {
		(void)regerror(code, NULL, why, sizeof(why)); /* cut if longer */
		mistake(r, "%s[%zu]: %s", key, i, why);
		return;
	}
	p->deny_count++;
}

static void
read_allow(struct reader *r, const char *key, size_t i, const char *text)
{
	struct policy *p = r->policy;
	const char *why;
	struct policy_shell *shell = policy_shell_split(text, strlen(text), &why);

	if (shell == NULL)
		mistake(r, "%s[%zu]: not the words of one command: %s", key, i, why);
	else if (shell->count != 1 || shell->redirect_count != 0)
		mistake(r, "%s[%zu]: not the words of one command: a list or a redirection", key,
		        i);
	else {
		p->allow[p->allow_count++] = shell;
		return;
	}
	free(shell);
}

static void
keep(struct reader *r, struct policy_list *list, const char *text)
{
	list->items[list->count] = strdup(text);
	if (list->items[list->count] == NULL)
		mistake(r, "no memory");
	else
		list->count++;
}

static void
read_path(struct reader *r, struct policy_list *list, const char *key, size_t i, const char *text)
{
	char path[POLICY_PATH_MAX];

	if (strstr(text, "**") != NULL)
		mistake(r, "%s[%zu]: ** is not supported", key, i);
	else if (policy_path_resolve(path, text, strlen(text), NULL, r->policy->home) < 0)
		mistake(r, "%s[%zu]: not an absolute path, nor one below ~", key, i);
	else
		keep(r, list, path);
}

static void
read_protected_path(struct reader *r, const char *key, size_t i, const char *text)
{
	read_path(r, &r->policy->protected_paths, key, i, text);
}

static void
read_write_path(struct reader *r, const char *key, size_t i, const char *text)
{
	read_path(r, &r->policy->write_paths, key, i, text);
}

static void
read_protected_file(struct reader *r, const char *key, size_t i, const char *text)
{
	if (strchr(text, '/') != NULL || strlen(text) > 255)
		mistake(r, "%s[%zu]: a name, without /", key, i);
	else
		keep(r, &r->policy->protected_files, text);
}

/* --- the keys ------------------------------------------------------------------------------- */

static void
read_version(struct reader *r, const char *key, const json_t *value)
{
	if (!json_is_integer(value) || json_integer_value(value) != 1)
		mistake(r, "%s: must be 1", key);
}

static void
read_kill_switch(struct reader *r, const char *key, const json_t *value)
{
	if (!json_is_boolean(value))
		mistake(r, "%s: must be true or false", key);
	r->policy->kill_switch = json_is_true(value);
}

static void
read_network(struct reader *r, const char *key, const json_t *value)
{
	const char *text = json_text(value);

	if (text == NULL || (strcmp(text, "deny") != 0 && strcmp(text, "allow") != 0))
		mistake(r, "%s: must be \"deny\" or \"allow\"", key);
	else
		r->policy->network = strcmp(text, "allow") == 0;
}

static const struct key {
	const char *name;
	void (*read)(struct reader *r, const char *key, const json_t *value);
	void (*read_item)(struct reader *r, const char *key, size_t i, const char *text);
} keys[] = {
	{"version",         read_version,     NULL               },
	{"kill_switch",     read_kill_switch, NULL               },
	{"network",         read_network,     NULL               },
	{"deny",            NULL,             read_deny          },
	{"allow",           NULL,             read_allow         },
	{"protected_paths", NULL,             read_protected_path},
	{"protected_files", NULL,             read_protected_file},
	{"write_paths",     NULL,             read_write_path    },
};

static void
read_items(struct reader *r, const struct key *key, const json_t *list)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(list)) {
		mistake(r, "%s: must be an array of strings", key->name);
		return;
	}
	if (json_array_size(list) > POLICY_MAX_RULES) {
		mistake(r, "%s: more than %d entries", key->name, POLICY_MAX_RULES);
		return;
	}
	json_array_foreach(list, i, item) {
		const char *text = json_text(item);

		if (text == NULL)
			mistake(r, "%s[%zu]: must be a string without NUL", key->name, i);
		else if (text[0] == '\0')
			mistake(r, "%s[%zu]: is empty", key->name, i);
		else
			key->read_item(r, key->name, i, text);
	}
}

static void
read_member(struct reader *r, const char *name, const json_t *value)
{
	for (size_t i = 0; i < NELEM(keys); i++) {
		if (strcmp(keys[i].name, name) != 0)
			continue;
		if (keys[i].read != NULL)
			keys[i].read(r, name, value);
		else
			read_items(r, &keys[i], value);
		return;
	}
	mistake(r, "%.64s: unknown key", name);
}

static void
read_members(struct reader *r, json_t *root)
{
	const char *name;
	json_t *value;

	if (!json_is_object(root)) {
		mistake(r, "must be an object");
		return;
	}
	json_object_foreach(root, name, value) {
		read_member(r, name, value);
	}
	if (json_object_get(root, "version") == NULL)
		mistake(r, "version: is missing");
}

/* --- life ----------------------------------------------------------------------------------- */

static struct policy *
policy_new(const char *home)
{
	struct policy *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->home = home != NULL && home[0] == '/' ? strdup(home) : NULL;
	p->deny = calloc(POLICY_MAX_RULES, sizeof(*p->deny));
	p->allow = calloc(POLICY_MAX_RULES, sizeof(struct policy_shell *));
	p->protected_paths.items = calloc(POLICY_MAX_RULES, sizeof(char *));
	p->protected_files.items = calloc(POLICY_MAX_RULES, sizeof(char *));
	p->write_paths.items = calloc(POLICY_MAX_RULES, sizeof(char *));
	if (p->deny == NULL || p->allow == NULL || p->protected_paths.items == NULL ||
	    p->protected_files.items == NULL || p->write_paths.items == NULL) {
		policy_free(p);
		return NULL;
	}
	return p;
}

struct policy *
policy_parse(const char *text, size_t len, const char *home, struct json_buf *mistakes)
{
	struct reader r = {.policy = policy_new(home), .mistakes = mistakes};
	struct err err;
	json_t *root;

	if (r.policy == NULL) {
		mistake(&r, "no memory");
		return NULL;
	}
	root = json_parse(text, len, &err);
	if (root == NULL)
		mistake(&r, "%s", err.text);
	else
		read_members(&r, root);
	json_decref(root);
	if (!r.wrong)
		return r.policy;
	policy_free(r.policy);
	return NULL;
}

static void
free_list(struct policy_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
}

void
policy_free(struct policy *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->deny_count; i++)
		regfree(&p->deny[i]);
	free(p->deny);
	for (size_t i = 0; i < p->allow_count; i++)
		free(p->allow[i]);
	free(p->allow);
	free_list(&p->protected_paths);
	free_list(&p->protected_files);
	free_list(&p->write_paths);
	free(p->home);
	free(p);
}
