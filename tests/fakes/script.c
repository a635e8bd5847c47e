/* script: steps, and the directives that make them. */
#include "tests/fakes/script.h"

#include <err.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void *
must(void *p)
{
	if (p == NULL)
		errx(70, "no memory");
	return p;
}

static struct step *
step_new(struct script *s, enum step_kind kind, unsigned value)
{
	struct step *step;

	if (s->count == s->cap) {
		s->cap = s->cap == 0 ? 16 : s->cap * 2;
		s->steps = must(realloc(s->steps, s->cap * sizeof(*s->steps)));
	}
	step = &s->steps[s->count++];
	*step = (struct step){.kind = kind, .value = value};
	return step;
}

void
script_add(struct script *s, enum step_kind kind, unsigned value)
{
	(void)step_new(s, kind, value);
}

void
script_send(struct script *s, const char *data, size_t len, unsigned count)
{
	struct step *step = step_new(s, STEP_SEND, count);

	step->data = must(malloc(SCRIPT_HEADROOM + len + 1));
	memcpy(step->data + SCRIPT_HEADROOM, data, len);
	step->len = len;
}

static char *vprint(const char *fmt, va_list ap) PRINTF_LIKE(1, 0);

static char *
vprint(const char *fmt, va_list ap)
{
	char *text;

	if (vasprintf(&text, fmt, ap) < 0)
		errx(70, "no memory");
	return text;
}

void
script_printf(struct script *s, const char *fmt, ...)
{
	AUTO_FREE char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = vprint(fmt, ap);
	va_end(ap);
	script_send(s, text, strlen(text), 1);
}

static bool
is_of_method(const struct step *step, const char *method, unsigned answer)
{
	static const char prefix[] = "{\"method\":\"";
	size_t at = sizeof(prefix) - 1, len = strlen(method);
	const char *frame;

	if (step->kind == STEP_MARK)
		return step->value == answer && strcmp(method, "turn/start") == 0;
	if (step->kind != STEP_SEND || step->len <= at + len)
		return false;
	frame = step->data + SCRIPT_HEADROOM;
	return memcmp(frame, prefix, at) == 0 && memcmp(frame + at, method, len) == 0 &&
	       frame[at + len] == '"';
}

/* The next step that is seen from outside; NULL: none. */
static struct step *
next_visible(struct script *s, size_t at)
{
	while (++at < s->count)
		if (s->steps[at].kind == STEP_SEND)
			return &s->steps[at];
	return NULL;
}

static void
make_mark(struct step *step, unsigned mark)
{
	free(step->data);
	*step = (struct step){.kind = STEP_MARK, .value = mark};
}

static void
make_pause(struct step *step)
{
	make_mark(step, 0);
	step->kind = STEP_WAIT;
}

void
script_edit(struct script *s, enum edit_kind kind, const char *method, unsigned answer,
            unsigned cut)
{
	struct step *next, held;

	for (size_t i = 0; i < s->count; i++) {
		struct step *step = &s->steps[i];

		if (!is_of_method(step, method, answer))
			continue;
		switch (kind) {
		case EDIT_LOSE:
			make_pause(step);
			break;
		case EDIT_DOUBLE:
			step->value *= step->kind == STEP_SEND ? 2 : 1;
			break;
		case EDIT_CUT:
			make_mark(step, cut);
			break;
		case EDIT_SWAP:
			next = next_visible(s, i);
			if (next == NULL)
				break;
			held = *step;
			*step = *next;
			*next = held;
			i = (size_t)(next - s->steps);
			break;
		}
	}
}

char *
text_printf(const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = vprint(fmt, ap);
	va_end(ap);
	return text;
}

char *
text_quoted(const char *text)
{
	json_auto_t *string = must(json_string_nocheck(text));

	return must(json_dumps(string, JSON_ENCODE_ANY));
}

void
script_free(struct script *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->steps[i].data);
	free(s->steps);
	*s = (struct script){0};
}

/* Runs the one line when it is a directive. */
static bool
directive_run(const struct directive *table, size_t count, const char *line, void *arg)
{
	size_t name = strcspn(line, " ");

	for (size_t i = 0; i < count; i++) {
		if (strlen(table[i].name) != name || memcmp(table[i].name, line, name) != 0)
			continue;
		table[i].run(arg, line + name + strspn(line + name, " "));
		return true;
	}
	return false;
}

size_t
directives_run(const struct directive *table, size_t count, const char *text, void *arg)
{
	AUTO_FREE char *copy = must(strdup(text));
	size_t found = 0;
	char *rest = copy, *line;

	while ((line = strsep(&rest, "\n")) != NULL) {
		if (line[0] == '!' && directive_run(table, count, line, arg))
			found++;
	}
	return found;
}

/* content: a string, or parts with a text. */
static void
append_content(FILE *out, const json_t *content)
{
	const json_t *part;
	size_t i;

	if (json_is_string(content))
		(void)fwrite(json_string_value(content), 1, json_string_length(content), out);
	json_array_foreach(content, i, part) {
		const json_t *text = json_object_get(part, "text");

		if (json_is_string(text))
			(void)fwrite(json_string_value(text), 1, json_string_length(text), out);
	}
}

static const char *
member(const json_t *item, const char *key)
{
	const char *value = json_string_value(json_object_get(item, key));

	return value != NULL ? value : "";
}

char *
items_last_user_text(const json_t *items)
{
	char *text = NULL;
	size_t len;
	FILE *out;

	for (size_t i = json_array_size(items); i-- > 0;) {
		const json_t *item = json_array_get(items, i);

		if (strcmp(member(item, "role"), "user") != 0)
			continue;
		out = must(open_memstream(&text, &len));
		append_content(out, json_object_get(item, "content"));
		(void)fclose(out);
		return must(text);
	}
	return NULL;
}

static bool
is_output(const json_t *item)
{
	const char *type = member(item, "type");

	return strcmp(type, "function_call_output") == 0 ||
	       strcmp(type, "custom_tool_call_output") == 0;
}

char *
items_tool_outputs(const json_t *items)
{
	size_t first = json_array_size(items), len;
	char *text = NULL;
	FILE *out;

	while (first > 0 && is_output(json_array_get(items, first - 1)))
		first--;
	if (first == json_array_size(items))
		return NULL;
	out = must(open_memstream(&text, &len));
	for (size_t i = first; i < json_array_size(items); i++) {
		if (i > first)
			(void)fputs(", ", out);
		append_content(out, json_object_get(json_array_get(items, i), "output"));
	}
	(void)fclose(out);
	return must(text);
}
