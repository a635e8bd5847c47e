/* The WebSocket of an app-server: the messages in its frames, whatever pieces they come in; its
 * answer to the handshake; and what we send, as a server reads it.
 *
 * Input: a line whose bytes say how long the pieces are, beginning with f for frames, h for a
 * handshake, o for what is sent; then the bytes. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proxy/codex/ws_in.h"
#include "proxy/codex/ws_out.h"
#include "proxy/codex/ws_upgrade.h"
#include "tests/fuzz/fuzz.h"

#define MESSAGE_MAX ((size_t)1 << 12)

/* What was heard, one after the other: a letter, eight digits for the length, the bytes. */
static void
note(struct json_buf *to, char what, const char *bytes, size_t len)
{
	char head[32];

	(void)snprintf(head, sizeof(head), "%c%08zu", what, len);
	json_buf_append(to, head, 9);
	json_buf_append(to, bytes, len);
}

static void
on_message(void *arg, const char *bytes, size_t len)
{
	HOLDS(len > 0 && len <= MESSAGE_MAX);
	note(arg, 'm', bytes, len);
}

static void
on_ping(void *arg, const char *bytes, size_t len)
{
	HOLDS(len <= 125);
	note(arg, 'p', bytes, len);
}

static void
on_goodbye(void *arg)
{
	note(arg, 'g', "", 0);
}

static const struct ws_in_handlers handlers = {
	.on_message = on_message, .on_ping = on_ping, .on_goodbye = on_goodbye};

/* A frame by RFC 6455; false: it is not complete. */
struct frame {
	bool fin;
	unsigned rsv, opcode;
	bool masked;
	unsigned long long len;
	size_t head; /* bytes in front of the payload */
};

static bool
read_head(struct frame *f, const unsigned char *at, size_t left)
{
	size_t more;

	if (left < 2)
		return false;
	f->fin = at[0] >> 7;
	f->rsv = at[0] >> 4 & 7;
	f->opcode = at[0] & 15;
	f->masked = at[1] >> 7;
	f->len = at[1] & 127;
	more = f->len == 126 ? 2 : f->len == 127 ? 8 : 0;
	f->head = 2 + more;
	if (left < f->head)
		return false;
	for (size_t i = 0; i < more; i++)
		f->len = (i == 0 ? 0 : f->len << 8) | at[2 + i];
	if (f->masked)
		f->head += 4;
	return left >= f->head;
}

/* All frames at once. False: something is wrong with one; *head_only: of which only the head has
 * come, so that it may be too early to say. */
static bool
read_frames(struct json_buf *heard, const char *bytes, size_t len, bool *head_only)
{
	struct json_buf message = {.data = NULL};
	bool open = false, fine = true;
	struct frame f;

	while (fine && read_head(&f, (const unsigned char *)bytes, len)) {
		bool control = f.opcode >= 8;
		size_t whole = f.len < len - f.head ? (size_t)f.len : len - f.head;

		fine = f.rsv == 0 && !f.masked && (control ? f.opcode <= 10 : f.opcode <= 2) &&
		       (!control || (f.fin && f.len <= 125)) &&
		       (control || (f.opcode == 0) == open) &&
		       (control || f.len <= MESSAGE_MAX - message.len);
		*head_only = whole == 0;
		if (!fine || whole < f.len)
			break;
		bytes += f.head;
		if (!control) {
			json_buf_append(&message, bytes, whole);
			open = !f.fin;
		}
		if (!control && f.fin && message.len > 0)
			note(heard, 'm', message.data, message.len);
		if (!control && f.fin)
			message.len = 0;
		if (f.opcode == 9)
			note(heard, 'p', bytes, whole);
		if (f.opcode == 8)
			note(heard, 'g', "", 0);
		bytes += whole;
		len -= f.head + whole;
	}
	json_buf_free(&message);
	return fine;
}

static void
check_frames(const char *cuts, size_t cuts_len, const char *bytes, size_t len)
{
	struct json_buf heard = {.data = NULL}, wanted = {.data = NULL};
	struct ws_in *in = ws_in_new(MESSAGE_MAX, &handlers, &heard);
	bool head_only = false, fine = read_frames(&wanted, bytes, len, &head_only);
	const char *problem = NULL;
	size_t n = 0;

	HOLDS(in != NULL);
	while (len > 0 && problem == NULL) {
		size_t part = cuts_len > 0 ? (unsigned char)cuts[n++ % cuts_len] % 32 + 1U : len;

		if (part > len)
			part = len;
		problem = ws_in_feed(in, bytes, part);
		bytes += part;
		len -= part;
	}
	/* one that is wrong may be known to be so before its head is complete */
	HOLDS(fine ? heard.len == wanted.len || problem != NULL : problem != NULL || head_only);
	HOLDS(heard.len <= wanted.len &&
	      (heard.len == 0 || memcmp(heard.data, wanted.data, heard.len) == 0));
	ws_in_free(in);
	json_buf_free(&heard);
	json_buf_free(&wanted);
}

/* --- the handshake: $ in the bytes stands for the key that is right ----------------------------
 */

static void
check_handshake(const char *cuts, size_t cuts_len, const char *bytes, size_t len)
{
	struct ws_upgrade u;
	struct json_buf text = {.data = NULL};
	char request[1024];
	size_t n = 0, used = 0;
	int r = ws_upgrade_begin(&u, request, sizeof(request), "localhost", "/");

	HOLDS(r > 0 && strlen(request) == (size_t)r);
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] == '$')
			json_buf_append(&text, u.accept, strlen(u.accept));
		else
			json_buf_append(&text, bytes + i, 1);
	}
	while (used < text.len && u.state == WS_UPGRADE_WAITS) {
		size_t part =
			cuts_len > 0 ? (unsigned char)cuts[n++ % cuts_len] % 32 + 1U : text.len;

		if (part > text.len - used)
			part = text.len - used;
		r = (int)ws_upgrade_feed(&u, text.data + used, part);
		HOLDS((size_t)r <= part);
		used += (size_t)r;
		HOLDS(u.state != WS_UPGRADE_WAITS || (size_t)r == part);
	}
	if (u.state == WS_UPGRADE_DONE) {
		HOLDS(text.data != NULL);
		HOLDS(memmem(text.data, used, u.accept, strlen(u.accept)) != NULL);
		HOLDS(memmem(text.data, used, " 101", 4) != NULL);
	}
	if (u.state == WS_UPGRADE_REFUSED)
		HOLDS(u.problem[0] != '\0');
	json_buf_free(&text);
}

/* --- what is sent ------------------------------------------------------------------------------
 */

/* As a server reads it: every frame is masked, and together they are the text. */
static void
unmask(struct json_buf *out, const struct json_buf *wire)
{
	const unsigned char *at = (const unsigned char *)wire->data;
	size_t left = wire->len, first = 1;
	struct frame f;

	while (left > 0) {
		HOLDS(read_head(&f, at, left) && f.masked && f.rsv == 0 && left - f.head >= f.len);
		HOLDS(f.opcode == (first ? 1 : 0));
		for (size_t i = 0; i < f.len; i++) {
			char c = (char)(at[f.head + i] ^ at[f.head - 4 + i % 4]);

			json_buf_append(out, &c, 1);
		}
		at += f.head + f.len;
		left -= f.head + (size_t)f.len;
		first = 0;
		HOLDS(f.fin == (left == 0));
	}
}

static void
check_sent(const char *cuts, size_t cuts_len, const char *bytes, size_t len)
{
	struct json_buf wire = {.data = NULL}, text = {.data = NULL};
	struct ws_out q;
	struct ws_message *m;
	size_t n = 0;
	uv_buf_t buf;

	if (len == 0)
		return;
	HOLDS(ws_out_init(&q) == 0);
	m = ws_out_text(&q, (const char *const[]){bytes, bytes + len / 2, ""},
	                (const size_t[]){len / 2, len - len / 2, 0}, 3);
	HOLDS(m != NULL);
	ws_out_push(&q, m);
	while (ws_out_peek(&q, &buf, 1) > 0) {
		size_t part =
			cuts_len > 0 ? (unsigned char)cuts[n++ % cuts_len] % 32 + 1U : buf.len;

		part = part < buf.len ? part : buf.len;
		json_buf_append(&wire, buf.base, part);
		ws_out_consume(&q, part);
	}
	HOLDS(q.bytes == 0 && q.first == NULL);
	unmask(&text, &wire);
	HOLDS(text.len == len && memcmp(text.data, bytes, len) == 0);
	ws_out_fini(&q);
	json_buf_free(&wire);
	json_buf_free(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *rest = (const char *)data, *cuts;
	size_t left = size, len;

	if (!fuzz_line(&rest, &left, &cuts, &len) || len == 0)
		return 0;
	switch (cuts[0]) {
	case 'f':
		check_frames(cuts + 1, len - 1, rest, left);
		break;
	case 'h':
		check_handshake(cuts + 1, len - 1, rest, left);
		break;
	case 'o':
		check_sent(cuts + 1, len - 1, rest, left);
		break;
	}
	return 0;
}
