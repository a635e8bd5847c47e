/* policy_shell: a command line as simple commands, or the reason why it cannot be told. */
#include "proxy/codex/policy_shell.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/common.h"
#include "common/json.h"

struct parser {
	struct policy_shell *shell;
	const char *text;
	size_t len;
	size_t at;
	const char *why; /* set: nothing more is read */
	bool open;       /* a command has begun */
};

static bool
fail(struct parser *p, const char *why)
{
	if (p->why == NULL)
		p->why = why;
	return false;
}

/* The character at offset, NUL at the end: there is none inside. */
static char
peek(const struct parser *p, size_t offset)
{
	return p->at + offset < p->len ? p->text[p->at + offset] : '\0';
}

static bool
put(struct parser *p, char c)
{
	if (p->shell->used >= sizeof(p->shell->text))
		return fail(p, "too long");
	p->shell->text[p->shell->used++] = c;
	return true;
}

static struct policy_shell_command *
command(struct parser *p)
{
	struct policy_shell *s = p->shell;

	if (!p->open) {
		if (s->count == POLICY_SHELL_MAX_COMMANDS) {
			fail(p, "too many commands");
			return NULL;
		}
		s->commands[s->count++] = (struct policy_shell_command){
			.words = s->words + s->word_count,
			.redirects = s->redirects + s->redirect_count,
		};
		p->open = true;
	}
	return &s->commands[s->count - 1];
}

/* --- words ---------------------------------------------------------------------------------- */

static bool
read_end_of_quote(struct parser *p)
{
	if (p->at >= p->len)
		return fail(p, "a quote without its end");
	p->at++;
	return true;
}

static bool
read_single_quoted(struct parser *p)
{
	for (p->at++; p->at < p->len && peek(p, 0) != '\''; p->at++) {
		if (!put(p, peek(p, 0)))
			return false;
	}
	return read_end_of_quote(p);
}

/* "$" means itself where nothing that could be a name or a quote follows. */
static bool
is_plain_dollar(char next, bool quoted)
{
	return next == '\0' || next == ' ' || next == '\t' || next == '\n' ||
	       (quoted && next == '"');
}

static bool
read_double_quoted(struct parser *p)
{
	for (p->at++; p->at < p->len && peek(p, 0) != '"'; p->at++) {
		char c = peek(p, 0);

		if (c == '`' || (c == '$' && !is_plain_dollar(peek(p, 1), true)))
			return fail(p, "an expansion");
		if (c == '\\' && strchr("$`\"\\", peek(p, 1)) != NULL && p->at + 1 < p->len)
			c = p->text[++p->at];
		else if (c == '\\' && peek(p, 1) == '\n')
			return fail(p, "a broken line");
		if (!put(p, c))
			return false;
	}
	return read_end_of_quote(p);
}

static bool
read_escaped(struct parser *p)
{
	if (p->at + 1 >= p->len)
		return fail(p, "a backslash at the end");
	if (peek(p, 1) == '\n')
		return fail(p, "a broken line");
	p->at += 2;
	return put(p, p->text[p->at - 1]);
}

/* Outside quotes: why this character is not for us; NULL: it is. */
static const char *
refused(const struct parser *p, bool word_begins)
{
	switch (peek(p, 0)) {
	case '$':
		return is_plain_dollar(peek(p, 1), false) ? NULL : "an expansion";
	case '`':
		return "a command substitution";
	case '(':
	case ')':
		return "a subshell or function";
	case '{':
	case '}':
		return "a brace";
	case '*':
	case '?':
	case '[':
		return "a glob";
	case '!':
		return "a negation";
	case '#':
		return word_begins ? "a comment" : NULL;
	case '=':
		return word_begins ? "a word that begins with =" : NULL;
	default:
		return NULL;
	}
}

static bool
ends_word(char c)
{
	return c == '\0' || strchr(" \t\n;&|<>", c) != NULL;
}

/* Appends one word to the text. */
static const char *
read_word(struct parser *p)
{
	size_t start = p->shell->used;
	size_t first = p->at;
	char *word = p->shell->text + start;

	while (p->why == NULL && !ends_word(peek(p, 0))) {
		const char *why = refused(p, p->at == first);
		char c = peek(p, 0);

		if (why != NULL)
			fail(p, why);
		else if (c == '\'')
			(void)read_single_quoted(p); /* p->why tells */
		else if (c == '"')
			(void)read_double_quoted(p);
		else if (c == '\\')
			(void)read_escaped(p);
		else if (put(p, c))
			p->at++;
	}
	if (!put(p, '\0') || p->why != NULL)
		return NULL;
	/* expanded only where all of it up to the slash is plain */
	if (word[0] == '~' && (p->text[first] != '~' ||
	                       (p->text[first + 1] != '/' && !ends_word(p->text[first + 1]))))
		fail(p, "a quoted ~, or that of another user");
	if (p->shell->used - start > POLICY_SHELL_MAX_WORD)
		fail(p, "a word that is too long");
	return p->why == NULL ? word : NULL;
}

/* NAME=, NAME+=: whether it is quoted does not matter, no command is called so. */
static bool
is_assignment(const char *word)
{
	size_t name =
		strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");

	return name > 0 && (word[name] == '=' || strncmp(word + name, "+=", 2) == 0);
}

static void
add_word(struct parser *p)
{
	struct policy_shell_command *c = command(p);
	const char *word = c != NULL ? read_word(p) : NULL;

	if (word == NULL)
		return;
	if (c->count == 0 && is_assignment(word))
		fail(p, "an assignment");
	else if (c->count == 0 && word[0] == '\0')
		fail(p, "a command without a name");
	else if (p->shell->word_count == POLICY_SHELL_MAX_WORDS)
		fail(p, "too many words");
	if (p->why != NULL)
		return;
	p->shell->words[p->shell->word_count++] = p->shell->text + (word - p->shell->text);
	c->count++;
}

/* --- redirections --------------------------------------------------------------------------- */

/* ">&1", ">&-": nothing is opened. */
static bool
is_duplicate(struct parser *p)
{
	char what = peek(p, 1);

	if (peek(p, 0) != '&')
		return false;
	if ((what != '-' && (what < '0' || what > '9')) || !ends_word(peek(p, 2))) {
		fail(p, "a redirection of an unknown kind");
		return false;
	}
	p->at += 2;
	return true;
}

static void
add_redirect(struct parser *p)
{
	struct policy_shell *s = p->shell;
	struct policy_shell_command *c = command(p);
	bool write;
	const char *target;

	if (c == NULL)
		return;
	write = peek(p, 0) == '&' || peek(p, 0) == '>';
	p->at += peek(p, 0) == '&' ? 2 : 1;
	if (!write && peek(p, 0) == '<') {
		fail(p, "a here-document or here-string");
		return;
	}
	if (write && peek(p, 0) == '>')
		p->at++;
	if (is_duplicate(p) || p->why != NULL)
		return;
	p->at += strspn(p->text + p->at, " \t"); /* the text ends in NUL */
	if (ends_word(peek(p, 0))) {
		fail(p, "a redirection of an unknown kind");
		return;
	}
	target = read_word(p);
	if (target == NULL)
		return;
	if (s->redirect_count == POLICY_SHELL_MAX_REDIRECTS) {
		fail(p, "too many redirections");
		return;
	}
	s->redirects[s->redirect_count++] = (struct policy_shell_redirect){write, target};
	c->redirect_count++;
}

/* Digits right before "<" or ">" name a descriptor. */
static bool
skip_descriptor(struct parser *p)
{
	size_t n = strspn(p->text + p->at, "0123456789");

	if (n == 0 || (peek(p, n) != '<' && peek(p, n) != '>'))
		return false;
	p->at += n;
	return true;
}

/* --- lists ---------------------------------------------------------------------------------- */

/* What ends a command. needs_next: the list may not end here. */
static void
end_command(struct parser *p, bool *needs_next)
{
	char c = peek(p, 0);
	bool doubled = c != '\n' && peek(p, 1) == c;

	if (!p->open && c == '\n') {
		p->at++; /* an empty line, or one broken after an operator */
		return;
	}
	if (!p->open || p->shell->commands[p->shell->count - 1].count == 0) {
		fail(p, "an empty command");
		return;
	}
	if ((c == ';' && doubled) || (c == '|' && peek(p, 1) == '&')) {
		fail(p, "an operator of an unknown kind");
		return;
	}
	if (c == '&' && doubled)
		p->shell->commands[p->shell->count - 1].next = POLICY_SHELL_NEXT_AND;
	else if (c == '|' && !doubled)
		p->shell->commands[p->shell->count - 1].next = POLICY_SHELL_NEXT_PIPE;
	*needs_next = c == '|' || (c == '&' && doubled);
	p->at += doubled ? 2 : 1;
	p->open = false;
}

static void
read_list(struct parser *p)
{
	bool needs_next = false;

	while (p->why == NULL && p->at < p->len) {
		char c = peek(p, 0);

		if (c == ' ' || c == '\t')
			p->at++;
		else if (c == '<' || c == '>' || (c == '&' && peek(p, 1) == '>'))
			add_redirect(p);
		else if (strchr("\n;&|", c) != NULL)
			end_command(p, &needs_next);
		else if (!skip_descriptor(p))
			add_word(p);
	}
	if (p->why != NULL)
		return;
	if (p->shell->count == 0 || (needs_next && !p->open) ||
	    p->shell->commands[p->shell->count - 1].count == 0)
		fail(p, "an empty command");
}

const char *
policy_shell_hidden(const char *text, size_t len)
{
	/* three bytes and more: spaces and marks that are not seen, and the private planes */
	static const char *const hidden[] = {
		"\xc2\x80",         "\xc2\x9f",     /* C1 */
		"\xc2\xa0",         "\xc2\xa0",     /* no-break space */
		"\xc2\xad",         "\xc2\xad",     /* soft hyphen */
		"\xcd\x8f",         "\xcd\x8f",     /* grapheme joiner */
		"\xd8\x9c",         "\xd8\x9c",     /* Arabic letter mark */
		"\xe1\x85\x9f",     "\xe1\x85\xa0", /* Hangul fillers */
		"\xe1\x9a\x80",     "\xe1\x9a\x80", /* Ogham space */
		"\xe1\xa0\x8b",     "\xe1\xa0\x8f", /* Mongolian separators */
		"\xe2\x80\x80",     "\xe2\x80\x8f", /* spaces, joiners */
		"\xe2\x80\xa8",     "\xe2\x80\xaf", /* line ends, directions */
		"\xe2\x81\x9f",     "\xe2\x81\xaf", /* more of both */
		"\xe3\x80\x80",     "\xe3\x80\x80", /* ideographic space */
		"\xe3\x85\xa4",     "\xe3\x85\xa4", /* Hangul filler */
		"\xef\xb8\x80",     "\xef\xb8\x8f", /* variation selectors */
		"\xef\xbb\xbf",     "\xef\xbb\xbf", /* byte order mark */
		"\xef\xbe\xa0",     "\xef\xbe\xa0", /* half-width filler */
		"\xf3\xa0\x80\x80", "\xf4\x8f\xbf\xbf",
	};

	for (size_t i = 0; i < len;) {
		size_t n = json_utf8_length(text + i, len - i);

		if (n == 0)
			return "no valid UTF-8";
		if (n == 1 && ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) &&
		    text[i] != '\t' && text[i] != '\n')
			return "a control character";
		for (size_t k = 0; n > 1 && k < NELEM(hidden); k += 2) {
			if (strlen(hidden[k]) == n && memcmp(text + i, hidden[k], n) >= 0 &&
			    memcmp(text + i, hidden[k + 1], n) <= 0)
				return "a hidden character";
		}
		i += n;
	}
	return NULL;
}

struct policy_shell *
policy_shell_split(const char *text, size_t len, const char **why)
{
	struct parser p = {.len = len};
	char *copy;

	*why = len > POLICY_SHELL_MAX_BYTES ? "too long" : policy_shell_hidden(text, len);
	if (*why != NULL)
		return NULL;
	*why = "no memory";
	copy = strndup(text, len);
	p.shell = calloc(1, sizeof(*p.shell));
	if (copy != NULL && p.shell != NULL) {
		p.text = copy;
		read_list(&p);
		*why = p.why;
	}
	free(copy);
	if (*why != NULL) {
		free(p.shell);
		return NULL;
	}
	return p.shell;
}
