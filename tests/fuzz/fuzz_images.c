/* Images by URL: nothing is fetched from where it may not be, and what has come is what the model
 * gets, whatever hosts answer.
 *
 * Input: CODEX_IMAGE_FETCH_HOSTS on a line, then one thing a line: see play(). The network is
 * played here (libcurl.h). */
#include "proxy/images.h"

#include <arpa/inet.h>
#include <libwebsockets.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "common/log.h"
#include "proxy/api/parts.h"
#include "proxy/fetch_hosts.h"
#include "tests/fuzz/played_curl.h"
#include "tests/unit/fake_clock.h"

#define LINES_MAX 64
#define PARTS_MAX 20 /* more than IMAGES_MAX */
#define WAITS_MAX 3
#define BYTES_MAX 4096 /* of all data URLs */

static uv_loop_t loop;
static char *hosts;

/* What the parts were, and what has come for them. */
static struct {
	struct conversation *conversation;
	json_t *parts; /* borrowed */
	struct {
		char *url;
		bool fetched;
		struct json_buf bytes;
	} known[PARTS_MAX];
	struct images *images;
	struct {
		struct images_wait wait;
		bool waits;
	} waits[WAITS_MAX];
	size_t wait_count;
	/* The parts that are being fetched, in the order in which that was begun. */
	size_t fetching[PARTS_MAX];
	size_t bytes; /* that they have got */
} all;

/* --- where it may go ------------------------------------------------------------------------- */

/* name[:port] of the list, against where a fetch goes; *literal: it is an address. */
static bool
entry_allows(const char *entry, const char *host, unsigned long port)
{
	char *name;
	const char *colon = strrchr(entry, ':');
	unsigned long wanted = 443;
	struct in_addr address;
	bool allowed, literal = host[0] == '[' || inet_aton(host, &address) != 0;
	size_t len;

	if (colon != NULL && strchr(colon, ']') == NULL)
		wanted = strtoul(colon + 1, NULL, 10);
	else
		colon = entry + strlen(entry);
	name = strndup(entry, (size_t)(colon - entry));
	HOLDS(name != NULL);
	len = strlen(name);
	if (name[0] != '*')
		allowed = strcasecmp(name, host) == 0;
	else
		allowed = !literal && strlen(host) >= len &&
		          strcasecmp(host + strlen(host) + 1 - len, name + 1) == 0;
	free(name);
	return allowed && wanted == port;
}

static bool
list_allows(const char *host, unsigned long port)
{
	char *copy = strdup(hosts), *save = NULL;
	bool allowed = false;

	for (char *entry = strtok_r(copy, ", ", &save); entry != NULL && !allowed;
	     entry = strtok_r(NULL, ", ", &save))
		allowed = entry_allows(entry, host, port);
	free(copy);
	return allowed;
}

static char *
part_of(const struct transfer *t, CURLUPart part, unsigned flags)
{
	char *text = NULL;

	(void)played.url_get(t->url, part, &text, flags);
	return text;
}

static void
on_start(struct transfer *t)
{
	char *scheme = part_of(t, CURLUPART_SCHEME, 0), *host = part_of(t, CURLUPART_HOST, 0);
	char *port = part_of(t, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	char *user = part_of(t, CURLUPART_USER, 0), *password = part_of(t, CURLUPART_PASSWORD, 0);

	HOLDS(scheme != NULL && strcmp(scheme, "https") == 0);
	HOLDS(user == NULL);
	HOLDS(host != NULL && port != NULL && list_allows(host, strtoul(port, NULL, 10)));
	played.free(scheme);
	played.free(host);
	played.free(port);
	played.free(user);
	played.free(password);
}

static bool
is_public4(uint32_t a)
{
	static const struct {
		uint32_t first, last;
	} private[] = {
		{0x00000000, 0x00ffffff}, /* 0/8 */
		{0x0a000000, 0x0affffff}, /* 10/8 */
		{0x64400000, 0x647fffff}, /* 100.64/10 */
		{0x7f000000, 0x7fffffff}, /* 127/8 */
		{0xa9fe0000, 0xa9feffff}, /* 169.254/16 */
		{0xac100000, 0xac1fffff}, /* 172.16/12 */
		{0xc0000000, 0xc00000ff}, /* 192.0.0/24 */
		{0xc0000200, 0xc00002ff}, /* 192.0.2/24 */
		{0xc0a80000, 0xc0a8ffff}, /* 192.168/16 */
		{0xc6120000, 0xc613ffff}, /* 198.18/15 */
		{0xc6336400, 0xc63364ff}, /* 198.51.100/24 */
		{0xcb007100, 0xcb0071ff}, /* 203.0.113/24 */
		{0xe0000000, 0xffffffff}, /* groups, and what is reserved */
	};

	for (size_t i = 0; i < NELEM(private); i++)
		if (a >= private[i].first && a <= private[i].last)
			return false;
	return true;
}

/* May a name lead there? By libc's words for addresses. */
static bool
is_surely_private(const struct sockaddr *address)
{
	const struct in6_addr *a = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
	uint32_t last;

	if (address->sa_family == AF_INET)
		return !is_public4(ntohl(
			((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr));
	if (address->sa_family != AF_INET6)
		return true;
	memcpy(&last, &a->s6_addr[12], 4);
	if (IN6_IS_ADDR_V4MAPPED(a) || IN6_IS_ADDR_V4COMPAT(a))
		return !is_public4(ntohl(last)) || !IN6_IS_ADDR_V4MAPPED(a);
	return IN6_IS_ADDR_LOOPBACK(a) || IN6_IS_ADDR_UNSPECIFIED(a) || IN6_IS_ADDR_LINKLOCAL(a) ||
	       IN6_IS_ADDR_SITELOCAL(a) || IN6_IS_ADDR_MULTICAST(a) ||
	       (a->s6_addr[0] & 0xfe) == 0xfc || (a->s6_addr[0] == 0x20 && a->s6_addr[1] == 0x02) ||
	       memcmp(a->s6_addr, "\x20\x01\x0d\xb8", 4) == 0;
}

/* Is the host an address itself, so that whoever wrote the list has asked for it? */
static bool
is_literal(const struct transfer *t)
{
	char *host = part_of(t, CURLUPART_HOST, 0);
	struct in_addr address;
	bool literal = host[0] == '[' || inet_pton(AF_INET, host, &address) == 1;

	played.free(host);
	return literal;
}

/* The name leads to that address: four bytes are one, text is read, else it is sixteen bytes.
 * False: it is refused. */
static bool
open_socket(struct transfer *t, const char *text, size_t len)
{
	union {
		struct curl_sockaddr at;
		char bytes[offsetof(struct curl_sockaddr, addr) + sizeof(struct sockaddr_in6)];
	} room = {.at = {.socktype = SOCK_STREAM}};
	struct sockaddr_in6 six = {.sin6_family = AF_INET6};
	struct sockaddr_in four = {.sin_family = AF_INET};
	bool is_four = len == 4 || inet_pton(AF_INET, text, &four.sin_addr) == 1;
	void *address = is_four ? (void *)&four : (void *)&six;
	curl_socket_t fd;

	if (len == 4)
		memcpy(&four.sin_addr, text, 4);
	else if (!is_four && inet_pton(AF_INET6, text, &six.sin6_addr) != 1)
		memcpy(&six.sin6_addr, text, len < 16 ? len : 16);
	room.at.family = is_four ? AF_INET : AF_INET6;
	room.at.addrlen = is_four ? sizeof(four) : sizeof(six);
	memcpy(room.bytes + offsetof(struct curl_sockaddr, addr), address, room.at.addrlen);
	fd = t->open_socket(t->open_socket_arg, CURLSOCKTYPE_IPCXN, &room.at);
	HOLDS(fd == CURL_SOCKET_BAD || is_literal(t) || !is_surely_private(address));
	if (fd != CURL_SOCKET_BAD)
		(void)close(fd);
	return fd != CURL_SOCKET_BAD;
}

/* --- what has come --------------------------------------------------------------------------- */

static const char *
kind_of(const struct json_buf *b)
{
	static const unsigned char png[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
	static const unsigned char jpeg[] = {0xff, 0xd8, 0xff};

	if (b->len >= 8 && memcmp(b->data, png, 8) == 0)
		return "data:image/png;base64,";
	if (b->len >= 3 && memcmp(b->data, jpeg, 3) == 0)
		return "data:image/jpeg;base64,";
	if (b->len >= 6 && (memcmp(b->data, "GIF87a", 6) == 0 || memcmp(b->data, "GIF89a", 6) == 0))
		return "data:image/gif;base64,";
	if (b->len >= 12 && memcmp(b->data, "RIFF", 4) == 0 && memcmp(b->data + 8, "WEBP", 4) == 0)
		return "data:image/webp;base64,";
	return NULL;
}

static void
check_fetched(const char *url, const struct json_buf *bytes)
{
	const char *kind = kind_of(bytes);
	char back[BYTES_MAX + 8];
	size_t head;
	int n;

	HOLDS(kind != NULL);
	head = strlen(kind);
	HOLDS(strncmp(url, kind, head) == 0);
	HOLDS(strlen(url + head) == (bytes->len + 2) / 3 * 4);
	n = lws_b64_decode_string(url + head, back, sizeof(back));
	HOLDS(n >= 0 && (size_t)n == bytes->len && memcmp(back, bytes->data, bytes->len) == 0);
}

static void
check_parts(void)
{
	json_t *part;
	size_t i;

	json_array_foreach(all.parts, i, part) {
		const char *url = json_get_string(part, "image_url");

		HOLDS(url != NULL && json_object_get(part, "param") == NULL);
		if (all.known[i].fetched)
			check_fetched(url, &all.known[i].bytes);
		else
			HOLDS(strcmp(url, all.known[i].url) == 0);
	}
}

static void
check_failure(const struct failure *f)
{
	HOLDS(f->kind == FAILURE_INVALID_REQUEST && f->message[0] != '\0');
	HOLDS(fuzz_is_utf8(f->message, strlen(f->message)));
	HOLDS(strcmp(f->upstream_code, "invalid_image_url") == 0);
	HOLDS(strncmp(f->upstream_param, "p", 1) == 0);
}

static void
on_images(void *arg, const struct failure *failure)
{
	size_t i = (size_t)(uintptr_t)arg;

	HOLDS(all.waits[i].waits);
	all.waits[i].waits = false;
	if (failure == NULL)
		check_parts();
	else
		check_failure(failure);
}

/* --- the input ------------------------------------------------------------------------------- */

/* A part of the request, as a dialect makes it. */
static void
add_part(const char *url, size_t len)
{
	struct api_error error = {.status = 0};
	json_t *value = json_stringn(url, len);
	size_t i = json_array_size(all.parts);
	char param[16];
	json_t *part;

	if (value == NULL || i == PARTS_MAX || all.wait_count > 0) {
		json_decref(value);
		return;
	}
	(void)snprintf(param, sizeof(param), "p%zu", i);
	part = part_image(value, param, NULL, "d", &error);
	json_decref(value);
	HOLDS((part != NULL) != (error.status != 0));
	if (part == NULL) {
		HOLDS(error.status == 400 && strcmp(error.param, param) == 0);
		return;
	}
	all.known[i].url = strndup(url, len);
	all.known[i].fetched = json_object_get(part, "param") != NULL;
	HOLDS(strncasecmp(url, all.known[i].fetched ? "https://" : "data:image/",
	                  all.known[i].fetched ? 8 : 11) == 0);
	HOLDS(json_array_append_new(all.parts, part) == 0);
}

static bool
somebody_waits(void)
{
	for (size_t i = 0; i < WAITS_MAX; i++)
		if (all.waits[i].waits)
			return true;
	return false;
}

/* What is begun next is for the parts that have a param, in their order. */
static size_t
note_fetching(void)
{
	const json_t *part;
	size_t i, n = 0;

	net.count = all.bytes = 0;
	json_array_foreach(all.parts, i, part) {
		if (json_object_get(part, "param") == NULL)
			continue;
		json_buf_free(&all.known[i].bytes);
		all.fetching[n++] = i;
	}
	return n;
}

static void
ask(void)
{
	size_t i = all.wait_count, count = PARTS_MAX;
	struct failure failure;
	enum images_answer answer;

	if (i == WAITS_MAX)
		return;
	if (!somebody_waits())
		count = note_fetching();
	all.waits[i].waits = true;
	all.wait_count++;
	answer = images_fetch(all.images, all.conversation, &all.waits[i].wait, on_images,
	                      (void *)(uintptr_t)i, &failure);
	HOLDS((answer == IMAGES_READY) == (count == 0));
	HOLDS(answer != IMAGES_COMING || count <= IMAGES_MAX || count == PARTS_MAX);
	if (answer == IMAGES_COMING)
		return;
	all.waits[i].waits = false;
	if (answer == IMAGES_FAILED)
		check_failure(&failure);
	else
		check_parts();
}

static void
leave(size_t i)
{
	images_leave(&all.waits[i].wait);
	all.waits[i].waits = false;
}

/* A piece of an answer. */
static void
deliver(struct transfer *t, const char *bytes, size_t len)
{
	struct json_buf *got = &all.known[all.fetching[t->number - 1]].bytes;
	char *copy = malloc(len);

	HOLDS(copy != NULL);
	memcpy(copy, bytes, len);
	if (t->status == 0)
		t->status = 200;
	if (t->write(copy, 1, len, t->write_arg) != len) {
		transfer_ends(t, CURLE_WRITE_ERROR);
	} else if (t->status == 200) {
		json_buf_append(got, bytes, len);
		all.bytes += len;
		HOLDS(all.bytes <= BYTES_MAX / 4 * 3);
	}
	free(copy);
}

static void
deliver_kind(struct transfer *t, char kind)
{
	static const struct {
		const char *bytes;
		size_t len;
	} kinds[] = {
		{"\x89PNG\r\n\x1a\n",    8 },
		{"\xff\xd8\xff\xe0",     4 },
		{"GIF89a\0\1",           8 },
		{"RIFF\0\0\0\0WEBPVP8 ", 16},
		{"\n",                   1 },
		{"<svg xmlns=",          11},
		{"RIFF\0\0\0\0WAVEfmt ", 16},
	};
	size_t i = (unsigned char)(kind - '0') % NELEM(kinds);

	deliver(t, kinds[i].bytes, kinds[i].len);
}

/* What happens to one that is under way. */
static void
play_transfer(struct transfer *t, char what, const char *text, size_t len)
{
	switch (what) {
	case 'h': /* STATUS: once for each answer */
		if (t->status == 0)
			t->status = strtol(text, NULL, 10) % 1000;
		break;
	case 'b': /* BYTES, also NUL */
		if (len > 0)
			deliver(t, text, len);
		break;
	case 'k': /* KIND: the beginning of an image, which has a line's end in it */
		deliver_kind(t, text[0]);
		break;
	case 'r': /* LOCATION */
		transfer_redirects(t, text);
		break;
	case 'a': /* ADDRESS, before anything is sent to it */
		if (t->status == 0 && len > 0 && !open_socket(t, text, len))
			transfer_ends(t, CURLE_COULDNT_CONNECT);
		break;
	case 'e': /* CODE */
		transfer_ends(t, (CURLcode)(strtoul(text, NULL, 10) % CURL_LAST));
		break;
	}
}

static void
play(const char *line, size_t len)
{
	struct transfer *t;

	switch (line[0]) {
	case 'u': /* URL: one part more */
		add_part(line + 1, len - 1);
		return;
	case 'g': /* somebody wants them */
		ask();
		return;
	case 'l': /* and leaves */
		if (all.wait_count > 0)
			leave((unsigned char)line[len > 1] % all.wait_count);
		return;
	}
	if (len < 2)
		return;
	t = net.transfers[(unsigned char)(line[1] - '0') % TRANSFERS_MAX];
	if (t != NULL && !t->done)
		play_transfer(t, line[0], line + 2, len - 2);
	run_loop(&loop);
}

static bool
is_list(const char *text)
{
	return strspn(text,
	              "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_*:[], ") ==
	       strlen(text);
}

static void
set_up(void)
{
	struct images_config config = {.loop = &loop, .hosts = hosts, .max_bytes = BYTES_MAX};
	static bool once;

	if (!once) {
		log_init("fuzz", LOG_LEVEL_ERROR, LOG_FORMAT_JSON);
		HOLDS(uv_loop_init(&loop) == 0);
		once = true;
	}
	memset(&all, 0, sizeof(all));
	memset(&net, 0, sizeof(net));
	net.on_start = on_start;
	HOLDS(images_new(&all.images, &config, NULL) == 0);
	all.conversation = conversation_new();
	HOLDS(all.conversation != NULL);
	all.conversation->items = json_pack("[{s:s,s:[]}]", "type", "message", "content");
	all.parts = json_object_get(json_array_get(all.conversation->items, 0), "content");
}

/* Whoever still waits leaves; then nothing is under way. */
static void
tear_down(void)
{
	for (size_t i = 0; i < all.wait_count; i++)
		leave(i);
	for (size_t i = 0; i < TRANSFERS_MAX; i++)
		HOLDS(net.transfers[i] == NULL);
	images_close(all.images);
	run_loop(&loop);
	HOLDS(!uv_loop_alive(&loop));
	conversation_free(all.conversation);
	for (size_t i = 0; i < PARTS_MAX; i++) {
		free(all.known[i].url);
		json_buf_free(&all.known[i].bytes);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *rest = (const char *)data, *line;
	size_t left = size, len, lines = 0;

	if (!fuzz_line(&rest, &left, &line, &len))
		return 0;
	hosts = strndup(line, len);
	HOLDS(hosts != NULL);
	if (is_list(hosts)) {
		set_up();
		while (lines++ < LINES_MAX && fuzz_line(&rest, &left, &line, &len)) {
			char *copy = calloc(len + 1, 1);

			HOLDS(copy != NULL);
			memcpy(copy, line, len);
			if (len > 0 && (line[0] == 'b' || strlen(copy) == len))
				play(copy, len);
			free(copy);
		}
		tear_down();
	}
	free(hosts);
	return 0;
}
