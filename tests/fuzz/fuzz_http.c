/* HTTP where it is ours: the framing of chunked bodies, the key of a caller, and what a web page
 * may do.
 *
 * Input: a line that names one of the three and its setting, then the rest: see below. */
#include "tests/unit/fake_http.h"

#include <ctype.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "common/file.h"
#include "proxy/api/auth.h"
#include "proxy/api/cors.h"
#include "proxy/http/chunked.h"
#include "tests/fuzz/fuzz.h"

/* --- chunked: a line whose bytes say how long the pieces are, then the body ------------------- */

#define KEYS_MAX     1000 /* more in a file are refused */
#define OVERHEAD_MAX 4096

struct whole {
	struct json_buf content;
	size_t used;
	enum { WHOLE_MORE, WHOLE_END, WHOLE_BAD } end;
};

/* A line that ends in CR LF, as long as it is; 0: it is not complete. A bare LF is none, nor a CR
 * with anything else behind it. */
static size_t
line_length(const char *text, size_t len, bool *bad)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n') {
			*bad = true;
			return 0;
		}
		if (text[i] == '\r') {
			*bad = i + 1 < len && text[i + 1] != '\n';
			return i + 1 < len && !*bad ? i + 2 : 0;
		}
	}
	return 0;
}

/* The size in front of a chunk; false: it is none. */
static bool
read_size(const char *line, size_t len, unsigned long long *size)
{
	size_t digits = 0;

	*size = 0;
	for (; digits < len && isxdigit((unsigned char)line[digits]); digits++) {
		if (*size >> 60 != 0)
			return false;
		*size = *size << 4 | (unsigned)(isdigit((unsigned char)line[digits])
		                                        ? line[digits] - '0'
		                                        : (line[digits] | 0x20) - 'a' + 10);
	}
	return digits > 0 && (digits == len || memchr("\r; \t", line[digits], 4) != NULL);
}

/* All of a body at once, a line at a time. */
static struct whole
decode(const char *text, size_t len)
{
	struct whole w = {.end = WHOLE_MORE};
	unsigned long long size;
	bool bad = false, last = false;

	while (!bad && w.used < len) {
		const char *at = text + w.used;
		size_t line = line_length(at, len - w.used, &bad);

		if (last && line == 2) {
			w.used += line;
			w.end = WHOLE_END;
			return w;
		}
		if (!last && !bad && !read_size(at, line > 0 ? line : len - w.used, &size))
			bad = true;
		if (bad || line == 0)
			break;
		w.used += line;
		if (last)
			continue;
		last = size == 0;
		if (last)
			continue;
		line = size < len - w.used ? (size_t)size : len - w.used;
		json_buf_append(&w.content, text + w.used, line);
		w.used += line;
		if (line < size || w.used == len)
			break;
		bad = text[w.used] != '\r' || (w.used + 1 < len && text[w.used + 1] != '\n');
		w.used += w.used + 1 < len ? 2 : 1;
	}
	if (bad)
		w.end = WHOLE_BAD;
	return w;
}

static void
check_chunked(const char *cuts, size_t cuts_len, const char *text, size_t len)
{
	struct whole w = decode(text, len);
	struct chunked c = {.left = 0};
	struct json_buf content = {.data = NULL};
	enum chunked_result r = CHUNKED_MORE;
	size_t at = 0, n = 0;
	const char *piece;
	size_t piece_len;

	while (at < len && r == CHUNKED_MORE) {
		size_t part = cuts_len > 0 ? (unsigned char)cuts[n++ % cuts_len] % 16 + 1U : len;
		const char *in = text + at;

		if (part > len - at)
			part = len - at;
		at += part;
		while ((r = chunked_next(&c, &in, &part, &piece, &piece_len)) == CHUNKED_PIECE)
			json_buf_append(&content, piece, piece_len);
		if (r == CHUNKED_END)
			HOLDS(at - part == w.used);
	}
	/* lines that are too long are refused before they are read */
	if (r != CHUNKED_BAD || len < OVERHEAD_MAX)
		HOLDS((r == CHUNKED_BAD) == (w.end == WHOLE_BAD));
	HOLDS((r == CHUNKED_END) == (w.end == WHOLE_END) || r == CHUNKED_BAD);
	if (r != CHUNKED_BAD)
		HOLDS(content.len == w.content.len &&
		      (content.len == 0 || memcmp(content.data, w.content.data, content.len) == 0));
	json_buf_free(&content);
	json_buf_free(&w.content);
}

/* --- key: a line with the header, then a file of keys ----------------------------------------- */

/* The number of the key by another reader of the file; 0: it is not there. */
static int
number_of(const char *key, const char *file)
{
	int number = 0;

	for (const char *at = file; *at != '\0'; at += *at != '\0') {
		const char *line = at, *end;

		at += strcspn(at, "\r\n");
		while (line < at && (*line == ' ' || *line == '\t'))
			line++;
		for (end = line; end < at && *end != ' ' && *end != '\t';)
			end++;
		if (end == line || *line == '#')
			continue;
		number++;
		if ((size_t)(end - line) == strlen(key) && strncmp(line, key, strlen(key)) == 0)
			return number;
	}
	return 0;
}

static size_t
count_keys(const char *file)
{
	size_t n = 0;

	for (; *file != '\0'; file += strspn(file, "\r\n")) {
		size_t len = strcspn(file, "\r\n"), blank = strspn(file, " \t");

		n += blank < len && file[blank] != '#';
		file += len;
	}
	return n;
}

static void
check_key(const char *header, char *file, size_t file_len)
{
	static int fd = -1;
	char path[64];
	struct settings s = {.port = 1};
	struct auth *a = NULL;
	const char *key = header;
	int r, found, wanted = -1;
	size_t keys;

	if (strlen(file) != file_len)
		return; /* a NUL ends it */
	if (fd < 0)
		fd = memfd_create("keys", MFD_CLOEXEC);
	HOLDS(fd >= 0 && ftruncate(fd, 0) == 0);
	HOLDS(pwrite(fd, file, file_len, 0) == (ssize_t)file_len);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	s.api_keys_file = path;
	r = auth_new(&a, &s, NULL);
	/* white space at the end of a file with a secret is nothing */
	while (file_len > 0 && isspace((unsigned char)file[file_len - 1]))
		file[--file_len] = '\0';
	keys = count_keys(file);
	HOLDS((r == 0) == (keys > 0 && keys <= KEYS_MAX));
	if (r < 0)
		return;
	if (strncasecmp(key, "Bearer ", 7) == 0) {
		for (key += 7; *key == ' ';)
			key++;
		wanted = number_of(key, file);
		wanted = wanted > 0 ? wanted : -1;
	}
	found = auth_key(a, header);
	HOLDS(found == wanted);
	HOLDS(auth_key(a, NULL) == -1);
	auth_free(a);
}

/* --- page: a line with the setting, one with the origin, one with the headers that it asks for -
 */

static bool
is_listed(const char *list, const char *origin)
{
	for (; *list != '\0'; list += *list == ',') {
		size_t len = strcspn(list, ","), from = strspn(list, " \t"), to = len;

		while (to > from && (list[to - 1] == ' ' || list[to - 1] == '\t'))
			to--;
		if (to > from && ((to - from == 1 && list[from] == '*') ||
		                  (to - from == strlen(origin) &&
		                   strncasecmp(list + from, origin, to - from) == 0)))
			return true;
		list += len;
	}
	return false;
}

static void
check_page(char *list, char *origin, char *asked)
{
	struct http_exchange x = {.method = HTTP_OPTIONS, .path = "/v1/models"};
	bool may = origin[0] != '\0' && is_listed(list, origin);
	const char *headers;

	HOLDS(cors_allows(list, origin) == may);
	x.headers[HTTP_ORIGIN] = origin;
	x.headers[HTTP_ACCESS_CONTROL_REQUEST_METHOD] = "POST";
	x.headers[HTTP_ACCESS_CONTROL_REQUEST_HEADERS] = asked;
	if (strlen(list) + strlen(origin) > 256)
		return; /* the exchange of the test keeps no more */
	cors_add_headers(list, &x);
	HOLDS((strstr(x.added, "access-control-allow-origin: ") != NULL) == may);
	x.added[0] = '\0';
	HOLDS((cors_preflight(list, &x) == 204) == may);
	HOLDS((x.status == 204) == may);
	headers = strstr(x.added, "access-control-allow-headers: ");
	HOLDS((headers != NULL) == may);
	for (headers = x.added; *headers != '\0'; headers++)
		HOLDS(*headers == '\n' || (*headers >= ' ' && *headers < 0x7f));
	exchange_fini(&x);
}

/* The next line as a string of its own: "" where there is none. A NUL ends it. */
static char *
take_line(const char **rest, size_t *left)
{
	const char *line = "";
	size_t len = 0;
	char *text;

	(void)fuzz_line(rest, left, &line, &len);
	text = strndup(line, len);
	HOLDS(text != NULL);
	return text;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *rest = (const char *)data, *cuts = "";
	size_t left = size, cuts_len = 0;
	AUTO_FREE char *which = take_line(&rest, &left);

	if (strcmp(which, "chunked") == 0) {
		(void)fuzz_line(&rest, &left, &cuts, &cuts_len);
		check_chunked(cuts, cuts_len, rest, left);
	} else if (strcmp(which, "key") == 0) {
		AUTO_FREE char *header = take_line(&rest, &left);
		AUTO_FREE char *file = strndup(rest, left);

		check_key(header, file, left);
	} else if (strcmp(which, "page") == 0) {
		AUTO_FREE char *list = take_line(&rest, &left);
		AUTO_FREE char *origin = take_line(&rest, &left);
		AUTO_FREE char *asked = take_line(&rest, &left);

		check_page(list, origin, asked);
	}
	return 0;
}
