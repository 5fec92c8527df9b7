/* Functions for what DPDK has only as inline functions or macros.
 *
 * Work for each packet is done here once per burst, so that the cost of a call does not
 * matter. Rust sees packet buffers as opaque pointers and their contents as views: the layout of
 * struct rte_mbuf, which differs between versions, stays in C. */
#ifndef MOS_DPDK_SHIM_H
#define MOS_DPDK_SHIM_H

#include <stddef.h>
#include <stdint.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

/* One received packet buffer. */
struct mos_view {
	const uint8_t *data;     /* first byte of the first segment */
	uint32_t data_length;    /* bytes there */
	uint32_t packet_length;  /* bytes in all segments together */
	uint32_t checksums;      /* what the port knows of those of IP and TCP: MOS_CHECKSUMS_* */
};

#define MOS_CHECKSUMS_UNKNOWN 0
#define MOS_CHECKSUMS_GOOD 1
#define MOS_CHECKSUMS_BAD 2

/* Receives at most `count` packets; returns how many. */
uint16_t mos_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **packets, uint16_t count);

/* Sends at most `count` packets; returns how many. Those are no longer the caller's. */
uint16_t mos_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **packets, uint16_t count);

/* Fills in one view for each packet, and prefetches the headers. */
void mos_views(struct rte_mbuf *const *packets, struct mos_view *views, uint16_t count);

/* Copies the first `length` bytes of a packet in several segments. */
void mos_copy_out(const struct rte_mbuf *packet, uint8_t *bytes, uint32_t length);

/* Allocates `count` empty packets: all of them (0) or none (-ENOENT). */
int mos_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **packets, uint16_t count);

/* Appends bytes to a packet: 0, or -1 when they do not fit. */
int mos_append(struct rte_mbuf *packet, const uint8_t *bytes, uint16_t length);

/* The calling thread's rte_errno. */
int mos_errno(void);

/* Bytes that one packet buffer with this data room takes in a pool, at most, headers included.
 * EAL need not run. */
size_t mos_mbuf_bytes(uint16_t data_room);

/* Receive-side scaling by addresses and ports of IP and TCP; and what a port is asked to do with
 * what it receives, as far as it can: scattered reception, verified checksums. */
extern const uint64_t mos_rss_ip_tcp;
extern const uint64_t mos_rx_offloads;

/* Directs DPDK's log, line by line and without the line end, to `sink`; 0, or -errno. */
typedef void (*mos_log_sink)(uint32_t level, const char *text, size_t length);
int mos_log_to(mos_log_sink sink);

#endif
