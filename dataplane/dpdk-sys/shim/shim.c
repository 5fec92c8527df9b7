/* See shim.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* fopencookie */
#endif

#include "shim.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include <rte_prefetch.h>

const uint64_t mos_rss_ip_tcp = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP;
const uint64_t mos_rx_offloads =
	RTE_ETH_RX_OFFLOAD_SCATTER | RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM;

uint16_t mos_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **packets, uint16_t count)
{
	return rte_eth_rx_burst(port, queue, packets, count);
}

uint16_t mos_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **packets, uint16_t count)
{
	return rte_eth_tx_burst(port, queue, packets, count);
}

/* The checksum of IPv6's header does not exist, and that of IPv4 need not have been looked at. */
static uint32_t checksums(uint64_t flags)
{
	uint64_t ip = flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
	uint64_t l4 = flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;

	if (ip == RTE_MBUF_F_RX_IP_CKSUM_BAD || l4 == RTE_MBUF_F_RX_L4_CKSUM_BAD)
		return MOS_CHECKSUMS_BAD;
	/* NONE: wrong in the packet, but known to be intact. */
	if (l4 == RTE_MBUF_F_RX_L4_CKSUM_GOOD || l4 == RTE_MBUF_F_RX_L4_CKSUM_NONE)
		return MOS_CHECKSUMS_GOOD;
	return MOS_CHECKSUMS_UNKNOWN;
}

void mos_views(struct rte_mbuf *const *packets, struct mos_view *views, uint16_t count)
{
	for (uint16_t i = 0; i < count; i++) {
		const struct rte_mbuf *packet = packets[i];
		views[i].data = rte_pktmbuf_mtod(packet, const uint8_t *);
		views[i].data_length = rte_pktmbuf_data_len(packet);
		views[i].packet_length = rte_pktmbuf_pkt_len(packet);
		views[i].checksums = checksums(packet->ol_flags);
		rte_prefetch0(views[i].data);
	}
}

void mos_copy_out(const struct rte_mbuf *packet, uint8_t *bytes, uint32_t length)
{
	while (packet != NULL && length > 0) {
		uint32_t part = RTE_MIN((uint32_t)rte_pktmbuf_data_len(packet), length);

		memcpy(bytes, rte_pktmbuf_mtod(packet, const uint8_t *), part);
		bytes += part;
		length -= part;
		packet = packet->next;
	}
}

int mos_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **packets, uint16_t count)
{
	return rte_pktmbuf_alloc_bulk(pool, packets, count);
}

int mos_append(struct rte_mbuf *packet, const uint8_t *bytes, uint16_t length)
{
	char *room = rte_pktmbuf_append(packet, length);

	if (room == NULL)
		return -1;
	memcpy(room, bytes, length);
	return 0;
}

int mos_errno(void)
{
	return rte_errno;
}

size_t mos_mbuf_bytes(uint16_t data_room)
{
	/* Spreading asks EAL for the number of memory channels, and EAL may not run: it adds less
	 * than one cache line for each of them. */
	return rte_mempool_calc_obj_size(sizeof(struct rte_mbuf) + data_room,
					 RTE_MEMPOOL_F_NO_SPREAD, NULL) + 4 * RTE_CACHE_LINE_SIZE;
}

/* DPDK writes whole lines, but stdio may cut them where its own buffer ends. */
static ssize_t log_write(void *cookie, const char *text, size_t length)
{
	mos_log_sink sink = *(mos_log_sink *)cookie;
	int level = rte_log_cur_msg_loglevel();
	const char *rest = text, *end = text + length;

	while (rest < end) {
		const char *stop = memchr(rest, '\n', (size_t)(end - rest));

		if (stop == NULL)
			stop = end;
		if (stop > rest)
			sink(level < 0 ? RTE_LOG_INFO : (uint32_t)level, rest, (size_t)(stop - rest));
		rest = stop + 1;
	}
	return (ssize_t)length;
}

int mos_log_to(mos_log_sink sink)
{
	static mos_log_sink target;
	cookie_io_functions_t functions = { .write = log_write };
	FILE *stream;

	target = sink;
	stream = fopencookie(&target, "w", functions);
	if (stream == NULL)
		return -errno;
	/* The level of a message is known only while it is being written: no delay. */
	setvbuf(stream, NULL, _IOLBF, BUFSIZ);
	return rte_openlog_stream(stream);
}
