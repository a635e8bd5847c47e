/* connection: one WebSocket client of the fake app-server: messages whole, answers queued. */
#ifndef SIDECAR_TESTS_CONNECTION_H
#define SIDECAR_TESTS_CONNECTION_H

#include <jansson.h>
#include <libwebsockets.h>
#include <stdbool.h>

struct frame;

/* Lives in what libwebsockets keeps per connection. */
struct connection {
	struct connection *next;
	struct lws *wsi;
	struct frame *first;
	struct frame **last;
	char *rx; /* the message so far; after connection_receive said so, a whole one */
	size_t rx_len;
	size_t rx_cap;
	json_t *opted_out; /* names of notifications */
	bool initialized;
	bool cut;
};

extern struct connection *connections;

void connection_begin(struct connection *c, struct lws *wsi);
void connection_end(struct connection *c);
/* True when rx holds a whole message; set rx_len to 0 after using it. */
bool connection_receive(struct connection *c, const void *data, size_t len);
/* What LWS_CALLBACK_SERVER_WRITEABLE returns. */
int connection_write(struct connection *c);

void enqueue(struct connection *c, const char *data, size_t len, unsigned times, bool binary);
/* Unless the client opted out of it. */
void notify(struct connection *c, const char *frame, size_t len, unsigned times);
/* Every initialized connection; frees the frame. */
void notify_all(char *frame);
/* id: as JSON text, echoed. */
void respond(struct connection *c, const char *id, const char *result);
void respond_error(struct connection *c, const char *id, int code, const char *message);
/* Closes without a close frame once what is queued is sent, as codex does when it ends. */
void connection_cut(struct connection *c);
/* The same in the middle of a frame. */
void connection_cut_in_frame(struct connection *c);

#endif
