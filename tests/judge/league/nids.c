/*
 * What libnids makes of the TCP connections of a capture. One line for each: address and port of
 * the client, of the server, and what each of them sent, in hexadecimal digits behind an x.
 *
 *   nids CAPTURE
 */
#include <arpa/inet.h>
#include <nids.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Streams that libnids tracks at once: more than a capture of the judge holds. */
#define STREAMS 65536

struct stream {
    unsigned char *bytes;
    size_t length;
};

/* What one connection has sent: the client's, the server's. */
struct connection {
    struct stream sent[2];
};

static void *or_die(void *memory)
{
    if (memory == NULL) {
        fputs("nids: out of memory\n", stderr);
        exit(1);
    }
    return memory;
}

static void append(struct stream *stream, const void *bytes, size_t length)
{
    if (length == 0)
        return;
    stream->bytes = or_die(realloc(stream->bytes, stream->length + length));
    memcpy(stream->bytes + stream->length, bytes, length);
    stream->length += length;
}

/* Takes what a side has received. The urgent byte is a byte of the stream, as RFC 6093 advises. */
static void take(struct stream *stream, struct half_stream *receiver)
{
    append(stream, receiver->data, receiver->count_new);
    append(stream, &receiver->urgdata, receiver->count_new_urg);
}

static void print(const struct tuple4 *ends, const struct connection *connection)
{
    char client[INET_ADDRSTRLEN], server[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &ends->saddr, client, sizeof client);
    inet_ntop(AF_INET, &ends->daddr, server, sizeof server);
    printf("%s %u %s %u", client, ends->source, server, ends->dest);
    for (int side = 0; side < 2; side++) {
        const struct stream *stream = &connection->sent[side];
        fputs(" x", stdout);
        for (size_t at = 0; at < stream->length; at++)
            printf("%02x", stream->bytes[at]);
    }
    putchar('\n');
}

static void on_tcp(struct tcp_stream *flow, void **own)
{
    struct connection *connection = *own;
    switch (flow->nids_state) {
    case NIDS_JUST_EST:
        flow->client.collect = flow->client.collect_urg = 1;
        flow->server.collect = flow->server.collect_urg = 1;
        *own = or_die(calloc(1, sizeof *connection));
        break;
    case NIDS_DATA:
        take(&connection->sent[0], &flow->server);
        take(&connection->sent[1], &flow->client);
        break;
    default: /* closed, reset, timed out, or the capture has ended */
        print(&flow->addr, connection);
        free(connection->sent[0].bytes);
        free(connection->sent[1].bytes);
        free(connection);
    }
}

static void ignore_warnings(int type, int number, struct ip *header, void *data)
{
    (void)type, (void)number, (void)header, (void)data;
}

int main(int count, char **words)
{
    if (count != 2) {
        fputs("usage: nids CAPTURE\n", stderr);
        return 2;
    }
    nids_params.filename = words[1];
    nids_params.n_tcp_streams = STREAMS;
    nids_params.scan_num_hosts = 0;
    nids_params.syslog = ignore_warnings;
    if (!nids_init()) {
        fprintf(stderr, "nids: %s\n", nids_errbuf);
        return 1;
    }
    nids_register_tcp(on_tcp);
    nids_run();
    return 0;
}
