/* fetch_hosts: where something may be fetched from: which names, and which addresses. */
#include "proxy/fetch_hosts.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/common.h"

#define HTTPS_PORT 443

/* --- names ---------------------------------------------------------------------------------- */

/* Also as resolvers read one: 127.1, 0x7f000001, 2130706433. */
static bool
is_literal(const char *host)
{
	struct in_addr address;

	return host[0] == '[' || inet_aton(host, &address) != 0;
}

/* The port at the end of an entry; *len becomes the length of what is before it. */
static unsigned
entry_port(const char *entry, size_t *len)
{
	const char *colon = memrchr(entry, ':', *len);

	if (colon == NULL || memchr(colon, ']', *len - (size_t)(colon - entry)) != NULL)
		return HTTPS_PORT;
	*len = (size_t)(colon - entry);
	return (unsigned)strtoul(colon + 1, NULL, 10);
}

static bool
name_matches(const char *entry, size_t len, const char *host)
{
	size_t host_len = strlen(host);

	if (entry[0] != '*')
		return len == host_len && strncasecmp(entry, host, len) == 0;
	if (is_literal(host))
		return false;
	/* "*" alone: all; "*.example.com": what ends in ".example.com" */
	return host_len > len - 1 &&
	       strncasecmp(entry + 1, host + host_len - (len - 1), len - 1) == 0;
}

enum fetch_host
fetch_host_check(const char *list, const char *host, unsigned port)
{
	for (const char *at = list; *at != '\0';) {
		size_t used, len;

		at += strspn(at, " ");
		used = len = strcspn(at, ",");
		while (len > 0 && at[len - 1] == ' ')
			len--;
		if (len > 0 && entry_port(at, &len) == port && name_matches(at, len, host))
			return is_literal(host) ? FETCH_HOST_LITERAL : FETCH_HOST_NAMED;
		at += used + (at[used] == ',');
	}
	return FETCH_HOST_REFUSED;
}

/* --- addresses ------------------------------------------------------------------------------ */

struct block {
	const char *first;
	unsigned bits;
};

/* The IANA registries of special-purpose addresses, what is not globally reachable. */
static const struct block blocks4[] = {
	{"0.0.0.0",      8 }, /* this network */
	{"10.0.0.0",     8 }, /* private */
	{"100.64.0.0",   10}, /* shared by a provider's customers */
	{"127.0.0.0",    8 }, /* loopback */
	{"169.254.0.0",  16}, /* link: metadata of clouds is there */
	{"172.16.0.0",   12}, /* private */
	{"192.0.0.0",    24}, /* protocols */
	{"192.0.2.0",    24}, /* documentation */
	{"192.88.99.0",  24}, /* 6to4 relays */
	{"192.168.0.0",  16}, /* private */
	{"198.18.0.0",   15}, /* benchmarks */
	{"198.51.100.0", 24}, /* documentation */
	{"203.0.113.0",  24}, /* documentation */
	{"224.0.0.0",    3 }, /* groups, reserved, broadcast */
};

/* All that is given out to networks is in 2000::/3; these of it are not. */
static const struct block blocks6[] = {
	{"2001::",     23}, /* protocols, Teredo */
	{"2001:db8::", 32}, /* documentation */
	{"2002::",     16}, /* 6to4: an IPv4 address is inside */
	{"3fff::",     20}, /* documentation */
};

static bool
in_block(const struct block *block, int family, const uint8_t *address)
{
	uint8_t first[16];
	unsigned whole = block->bits / 8, rest = block->bits % 8;

	if (inet_pton(family, block->first, first) != 1 || memcmp(first, address, whole) != 0)
		return false;
	return rest == 0 || (first[whole] ^ address[whole]) >> (8 - rest) == 0;
}

static bool
is_public4(const uint8_t *address)
{
	for (size_t i = 0; i < NELEM(blocks4); i++)
		if (in_block(&blocks4[i], AF_INET, address))
			return false;
	return true;
}

static bool
is_public6(const uint8_t *address)
{
	static const struct block mapped = {"::ffff:0:0", 96}, translated = {"64:ff9b::", 96},
				  global = {"2000::", 3};

	if (in_block(&mapped, AF_INET6, address) || in_block(&translated, AF_INET6, address))
		return is_public4(address + 12);
	if (!in_block(&global, AF_INET6, address))
		return false;
	for (size_t i = 0; i < NELEM(blocks6); i++)
		if (in_block(&blocks6[i], AF_INET6, address))
			return false;
	return true;
}

bool
fetch_address_is_public(const struct sockaddr *address)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	/* Copied: nobody says that it is aligned. */
	if (address->sa_family == AF_INET) {
		memcpy(&v4, address, sizeof(v4));
		return is_public4((const uint8_t *)&v4.sin_addr);
	}
	if (address->sa_family == AF_INET6) {
		memcpy(&v6, address, sizeof(v6));
		return is_public6(v6.sin6_addr.s6_addr);
	}
	return false;
}
