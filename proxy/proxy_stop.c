/* proxy_stop: draining, and closing everything in its order. */
#include <signal.h>

#include "common/log.h"
#include "proxy/announce.h"
#include "proxy/proxy_internal.h"

/* For the last answers to leave after the drain. */
#define FLUSH_MS      3000
#define FLUSH_LOOK_MS 10

/* For requests that are on their way when the drain begins. */
#define LAST_REQUESTS_MS 1000

static void
on_link_closed(void *arg)
{
	struct proxy *p = arg;

	p->link = NULL;
	uv_stop(&p->loop);
}

static void
on_pool_closed(void *arg)
{
	struct proxy *p = arg;

	p->pool = NULL;
	if (p->link != NULL)
		supervisor_link_close(p->link, on_link_closed, p);
	else
		uv_stop(&p->loop);
}

/* Every turn is over, and every answer has left, or had its time. */
static void
close_all(struct proxy *p)
{
	backend_drains_close(&p->drains);
	uv_close((uv_handle_t *)&p->sigterm, NULL);
	uv_close((uv_handle_t *)&p->sigint, NULL);
	uv_close((uv_handle_t *)&p->sighup, NULL);
	uv_close((uv_handle_t *)&p->delay, NULL);
	uv_close((uv_handle_t *)&p->flush, NULL);
	heap_trim_close(&p->trim);
	uv_close((uv_handle_t *)&p->models_again, NULL);
	http_server_close(p->http);
	images_close(p->images);
	backend_pool_close(p->pool, on_pool_closed, p);
}

static void
on_flush_look(uv_timer_t *timer)
{
	struct proxy *p = timer->data;

	if (http_server_exchanges(p->http) == 0 || uv_now(&p->loop) >= p->flush_deadline)
		close_all(p);
}

static void
flush_and_close(struct proxy *p)
{
	p->flush_deadline = uv_now(&p->loop) + FLUSH_MS;
	(void)uv_timer_start(&p->flush, on_flush_look, 0, FLUSH_LOOK_MS); /* a live handle */
}

void
proxy_answer_drain(struct proxy *p)
{
	if (p->drain_req != NULL)
		control_reply(p->drain_req, json_pack("{s:i}", "in_flight", (int)p->drain_left));
	p->drain_req = NULL;
}

static void
on_drained(void *arg, unsigned left)
{
	struct proxy *p = arg;

	p->drained = true;
	p->drain_left = left;
	log_info("drained, %u requests were broken off", left);
	proxy_answer_drain(p);
	if (p->terminating)
		flush_and_close(p);
}

static void
on_last_requests_look(uv_timer_t *timer)
{
	struct proxy *p = timer->data;
	uint64_t now = uv_now(&p->loop);

	if (now < p->last_requests && http_server_expects_requests(p->http))
		return;
	(void)uv_timer_stop(timer); /* cannot fail */
	turns_drain(p->turns, p->drain_deadline > now ? p->drain_deadline - now : 0, on_drained, p);
}

/* No connection is accepted any more; who has one already and is about to ask is served. */
static void
drain_now(struct proxy *p, uint64_t deadline_ms)
{
	uint64_t now = uv_now(&p->loop);

	(void)uv_timer_stop(&p->delay); /* cannot fail */
	if (!p->draining) {
		p->draining = true;
		http_server_stop_listening(p->http);
		p->listening = false;
		p->last_requests = now + LAST_REQUESTS_MS;
	}
	if (p->drained)
		return;
	if (deadline_ms < LAST_REQUESTS_MS)
		p->last_requests = now;
	p->drain_deadline = now + deadline_ms;
	/* a live handle */
	(void)uv_timer_start(&p->delay, on_last_requests_look, 0, FLUSH_LOOK_MS);
}

static void
on_delay_over(uv_timer_t *timer)
{
	struct proxy *p = timer->data;
	uint64_t now = uv_now(&p->loop);

	log_info("draining: no new requests");
	drain_now(p, p->drain_deadline > now ? p->drain_deadline - now : 0);
}

void
proxy_drain(struct proxy *p, uint64_t deadline_ms, uint64_t delay_ms)
{
	bool delayed = delay_ms > 0 && !p->leaving;

	p->leaving = true;
	if (delayed) {
		if (delay_ms > deadline_ms)
			delay_ms = deadline_ms;
		p->drain_deadline = uv_now(&p->loop) + deadline_ms;
		(void)uv_timer_start(&p->delay, on_delay_over, delay_ms, 0); /* a live handle */
		http_server_leave(p->http);
		log_info("not ready any more, draining in %llu ms", (unsigned long long)delay_ms);
	} else {
		drain_now(p, deadline_ms);
	}
	proxy_tell_readiness(p);
}

/* With a supervisor it is the one to say so: it knows whether another proxy takes over. */
static uint64_t
own_delay(const struct proxy *p)
{
	return p->link == NULL ? (uint64_t)p->settings->drain_delay_ms : 0;
}

static void
on_signal(uv_signal_t *handle, int signum)
{
	struct proxy *p = handle->data;
	bool again = p->terminating;

	log_info("%s: %s", signum == SIGINT ? "SIGINT" : "SIGTERM",
	         again ? "stopping at once" : "draining, then stopping");
	p->terminating = true;
	if (!again)
		announce_stopping();
	if (p->drained && again)
		p->flush_deadline = 0; /* the last answers get no more time either */
	else if (p->drained)
		flush_and_close(p);
	else
		proxy_drain(p, again ? 0 : (uint64_t)p->settings->drain_timeout_ms, own_delay(p));
}

void
proxy_start_signals(struct proxy *p)
{
	/* None of these can fail with valid arguments. */
	(void)uv_signal_init(&p->loop, &p->sigterm);
	(void)uv_signal_init(&p->loop, &p->sigint);
	(void)uv_timer_init(&p->loop, &p->delay);
	(void)uv_timer_init(&p->loop, &p->flush);
	p->sigterm.data = p->sigint.data = p->delay.data = p->flush.data = p;
	(void)uv_signal_start(&p->sigterm, on_signal, SIGTERM);
	(void)uv_signal_start(&p->sigint, on_signal, SIGINT);
	proxy_agent_start_signal(p);
}
