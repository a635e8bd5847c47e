/* fetch_hosts: where something may be fetched from: which names, and which addresses. Pure. */
#ifndef SIDECAR_PROXY_FETCH_HOSTS_H
#define SIDECAR_PROXY_FETCH_HOSTS_H

#include <stdbool.h>
#include <sys/socket.h>

enum fetch_host {
	FETCH_HOST_REFUSED,
	FETCH_HOST_NAMED,  /* listed as a name: its address must be a public one */
	FETCH_HOST_LITERAL /* an address, and listed as that address */
};

/* list: hosts with commas between them: example.com, *.example.com (below it), 192.0.2.7, [::1], *
 * (all names); a port behind a colon, else 443 is meant. host: as in a URL, lower case, IPv6 in
 * brackets. */
enum fetch_host fetch_host_check(const char *list, const char *host, unsigned port);

/* Of the Internet at large: not of this machine, a private network, a link, a group or a tunnel
 * that leads to one. */
bool fetch_address_is_public(const struct sockaddr *address);

#endif
