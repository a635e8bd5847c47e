/* transcript: a whole conversation as one text, for an app-server that takes no items. */
#include "proxy/codex/transcript.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"

#define ZERO_WIDTH_SPACE "\xe2\x80\x8b" /* U+200B */

struct builder {
	struct json_buf text;
	struct json_buf content; /* of the turn at hand, as it came */
	size_t characters;       /* in text */
	json_t *images;
	size_t at; /* index of the item at hand */
	struct err *err;
};

struct range {
	uint32_t first;
	uint32_t last;
};

static bool
in_ranges(const struct range *ranges, size_t count, uint32_t c)
{
	for (size_t i = 0; i < count; i++) {
		if (c >= ranges[i].first && c <= ranges[i].last)
			return true;
	}
	return false;
}

/* The character at text and its length. A broken byte is a character of its own. */
static size_t
character_at(uint32_t *c, const char *text, size_t left)
{
	static const unsigned char mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	size_t n = json_utf8_length(text, left);

	if (n == 0) {
		*c = 0xfffd;
		return 1;
	}
	*c = (unsigned char)text[0] & mask[n];
	for (size_t i = 1; i < n; i++)
		*c = *c << 6 | ((unsigned char)text[i] & 0x3f);
	return n;
}

static bool
ends_line(uint32_t c)
{
	static const struct range ends[] = {
		{0x0a,   0x0d  }, /* LF, VT, FF, CR */
		{0x1c,   0x1e  }, /* the separators of files, groups and records */
		{0x85,   0x85  }, /* next line */
		{0x2028, 0x2029}, /* line and paragraph separator */
	};

	return in_ranges(ends, NELEM(ends), c);
}

/* What a reader does not see, or takes for decoration, before and inside a label. */
static bool
is_skipped(uint32_t c)
{
	static const struct range skipped[] = {
		{0x00,    0x09   },
                {0x0e,    0x1b   },
                {0x1f,    0x20   },
                {0x7f,    0x84   },
		{0x86,    0xa0   },
                {0xad,    0xad   },
                {0x0300,  0x036f },
                {0x061c,  0x061c },
		{0x115f,  0x1160 },
                {0x1680,  0x1680 },
                {0x17b4,  0x17b5 },
                {0x180b,  0x180f },
		{0x2000,  0x200f },
                {0x202a,  0x202f },
                {0x205f,  0x206f },
                {0x2800,  0x2800 },
		{0x3000,  0x3000 },
                {0x3164,  0x3164 },
                {0xfe00,  0xfe0f },
                {0xfeff,  0xfeff },
		{0xffa0,  0xffa0 },
                {0xfff0,  0xfffd },
                {0xe0000, 0xe0fff},
	};

	return in_ranges(skipped, NELEM(skipped), c) ||
	       (c < 0x80 && c != 0 && strchr("*_#>-`~|+[(<\"'", (int)c) != NULL);
}

static bool
is_colon(uint32_t c)
{
	return c == ':' || c == 0xff1a || c == 0xfe55 || c == 0xfe13 || c == 0x2236 ||
	       c == 0xa789 || c == 0x02d0;
}

/* Lower case, and the full-width letters as plain ones. */
static uint32_t
fold(uint32_t c)
{
	if ((c >= 0xff21 && c <= 0xff3a) || (c >= 0xff41 && c <= 0xff5a))
		c -= 0xfee0;
	return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

/* Is the line at text label and a colon? Then the offset behind the label's first letter, else 0.
 */
static size_t
break_in_label(const char *label, const char *text, size_t len)
{
	size_t behind_first = 0;
	uint32_t c;

	for (size_t i = 0; i < len;) {
		i += character_at(&c, text + i, len - i);
		if (*label != '\0' && fold(c) == (uint32_t)*label) {
			label++;
			if (behind_first == 0)
				behind_first = i;
		} else if (*label == '\0' && (is_colon(c) || c == ']' || c == ')')) {
			if (is_colon(c))
				return behind_first;
		} else if (!is_skipped(c)) {
			return 0;
		}
	}
	return 0;
}

static size_t
break_at(const char *line, size_t len)
{
	static const char *const labels[] = {"user", "assistant", "system", "developer", "tool"};

	for (size_t i = 0; i < NELEM(labels); i++) {
		size_t at = break_in_label(labels[i], line, len);

		if (at > 0)
			return at;
	}
	return 0;
}

/* The content of a turn, no line of which looks like a turn's first one. */
static void
append_content(struct builder *b, const char *text, size_t len)
{
	bool line_begins = true;

	for (size_t i = 0; i < len;) {
		size_t n = line_begins ? break_at(text + i, len - i) : 0;
		uint32_t c;

		if (n > 0) {
			json_buf_append(&b->text, text + i, n);
			json_buf_append(&b->text, ZERO_WIDTH_SPACE, strlen(ZERO_WIDTH_SPACE));
			for (size_t k = 0; k < n; b->characters++)
				k += character_at(&c, text + i + k, n - k);
			b->characters++;
			line_begins = false;
		} else {
			n = character_at(&c, text + i, len - i);
			json_buf_append(&b->text, text + i, n);
			b->characters++;
			line_begins = ends_line(c);
		}
		i += n;
	}
}

static void
append_label(struct builder *b, const char *label)
{
	if (b->text.len > 0) {
		json_buf_append(&b->text, "\n\n", 2);
		b->characters += 2;
	}
	json_buf_append(&b->text, label, strlen(label));
	json_buf_append(&b->text, ": ", 2);
	b->characters += strlen(label) + 2;
}

/* What has been gathered becomes a turn. */
static int
end_turn(struct builder *b, const char *label)
{
	append_label(b, label);
	append_content(b, b->content.data, b->content.len);
	b->content.len = 0;
	if (b->text.failed || b->content.failed)
		return err_set(b->err, -ENOMEM, "no memory");
	if (b->characters > TRANSCRIPT_MAX_CHARACTERS)
		return err_set(b->err, -EMSGSIZE,
		               "the conversation is longer than %d characters as one text",
		               TRANSCRIPT_MAX_CHARACTERS);
	return 0;
}

static void
gather(struct builder *b, const char *text)
{
	json_buf_append(&b->content, text, strlen(text));
}

/* False: it is no string. */
static bool
gather_string(struct builder *b, const json_t *value)
{
	if (!json_is_string(value))
		return false;
	json_buf_append(&b->content, json_string_value(value), json_string_length(value));
	return true;
}

static int
refuse(struct builder *b, const char *what)
{
	return err_set(b->err, -EINVAL, "items[%zu]: %s", b->at, what);
}

static int
gather_image(struct builder *b, const json_t *part)
{
	const char *url = json_get_string(part, "image_url");
	json_t *image = NULL;
	char name[32];

	if (url == NULL)
		return refuse(b, "an image without image_url");
	image = json_pack("{s:s,s:O,s:O*}", "type", "image", "url",
	                  json_object_get(part, "image_url"), "detail",
	                  json_object_get(part, "detail"));
	if (json_array_append_new(b->images, image) != 0)
		return err_set(b->err, -ENOMEM, "no memory");
	snprintf(name, sizeof(name), "[image %zu]", json_array_size(b->images));
	gather(b, name);
	return 0;
}

/* A string, or parts: each begins a line. */
static int
gather_parts(struct builder *b, const json_t *content)
{
	const json_t *part;
	size_t i;

	if (gather_string(b, content))
		return 0;
	if (!json_is_array(content))
		return refuse(b, "its content is neither text nor parts");
	json_array_foreach(content, i, part) {
		const char *type = json_get_string(part, "type");
		int r = 0;

		if (type == NULL)
			return refuse(b, "a part without type");
		if (i > 0)
			gather(b, "\n");
		if (strcmp(type, "input_image") == 0)
			r = gather_image(b, part);
		else if (strcmp(type, "input_text") != 0 && strcmp(type, "output_text") != 0)
			return refuse(b, "a part that is neither text nor an image");
		else if (!gather_string(b, json_object_get(part, "text")))
			return refuse(b, "a part without text");
		if (r < 0)
			return r;
	}
	return 0;
}

static int
add_message(struct builder *b, const json_t *item)
{
	static const struct {
		const char *role;
		const char *label;
	} roles[] = {
		{"system",    "System"   },
		{"developer", "System"   },
		{"user",      "User"     },
		{"assistant", "Assistant"},
	};
	const char *role = json_get_string(item, "role");

	for (size_t i = 0; role != NULL && i < NELEM(roles); i++) {
		int r;

		if (strcmp(roles[i].role, role) != 0)
			continue;
		r = gather_parts(b, json_object_get(item, "content"));
		return r < 0 ? r : end_turn(b, roles[i].label);
	}
	return refuse(b, "a message of an unknown role");
}

static int
add_call(struct builder *b, const json_t *item)
{
	gather(b, "[call ");
	if (!gather_string(b, json_object_get(item, "call_id")))
		return refuse(b, "a call without call_id");
	gather(b, "] ");
	if (!gather_string(b, json_object_get(item, "name")))
		return refuse(b, "a call without name");
	gather(b, " ");
	if (!gather_string(b, json_object_get(item, "arguments")))
		return refuse(b, "a call without arguments");
	return end_turn(b, "Assistant");
}

static int
add_output(struct builder *b, const json_t *item)
{
	int r;

	gather(b, "[result of ");
	if (!gather_string(b, json_object_get(item, "call_id")))
		return refuse(b, "a result without call_id");
	gather(b, "] ");
	r = gather_parts(b, json_object_get(item, "output"));
	return r < 0 ? r : end_turn(b, "Tool");
}

static int
add_item(struct builder *b, const json_t *item)
{
	const char *type = json_get_string(item, "type");

	b->content.len = 0;
	if (type == NULL)
		return refuse(b, "no type");
	if (strcmp(type, "message") == 0)
		return add_message(b, item);
	if (strcmp(type, "function_call") == 0)
		return add_call(b, item);
	if (strcmp(type, "function_call_output") == 0)
		return add_output(b, item);
	if (strcmp(type, "reasoning") == 0)
		return 0;
	return refuse(b, "a type that has no form in a transcript");
}

static int
add_items(struct builder *b, const json_t *items)
{
	const json_t *item;
	int r;

	json_array_foreach(items, b->at, item) {
		r = add_item(b, item);
		if (r < 0)
			return r;
	}
	if (b->text.len == 0)
		return err_set(b->err, -EINVAL, "the conversation is empty");
	json_buf_append(&b->text, "", 1);
	return b->text.failed ? err_set(b->err, -ENOMEM, "no memory") : 0;
}

int
transcript_build(struct transcript *out, const json_t *items, struct err *err)
{
	struct builder b = {.images = json_array(), .err = err};
	int r = b.images != NULL ? add_items(&b, items) : err_set(err, -ENOMEM, "no memory");

	json_buf_free(&b.content);
	if (r < 0) {
		json_buf_free(&b.text);
		json_decref(b.images);
		return r;
	}
	*out = (struct transcript){.text = b.text.data, .len = b.text.len - 1, .images = b.images};
	return 0;
}

void
transcript_fini(struct transcript *t)
{
	free(t->text);
	json_decref(t->images);
	*t = (struct transcript){0};
}

json_t *
transcript_input(const struct transcript *t)
{
	json_t *input =
		json_pack("[{s:s,s:o}]", "type", "text", "text", json_stringn(t->text, t->len));

	if (input != NULL && json_array_extend(input, t->images) != 0) {
		json_decref(input);
		return NULL;
	}
	return input;
}
