/* The guard's two tables. TB_GUARD_LIMITS: every bound it enforces, with unit, default, bounds and
 * the reason for the default. TB_GUARD_KINDS: everything it counts. Each row becomes a field, a
 * configuration key or metric, and a line of the manual. */
#ifndef TB_HTTP_GUARD_GUARD_TABLES_H
#define TB_HTTP_GUARD_GUARD_TABLES_H

/* X(name, unit, default, min, max, reason) */
// clang-format off
#define TB_GUARD_LIMITS(X)                                                                         \
    X(header_fields, "fields", 100, 16, 1000,                                                      \
      "a reference of one byte costs about 128 bytes decoded; browsers send 20")                   \
    X(header_bytes, "bytes", 32768, 4096, 1 << 20,                                                 \
      "names + values + 32 each (RFC 9113 6.5.2); room for a token, a proof and a signature")      \
    X(header_block_bytes, "bytes", 65536, 4096, 1 << 18,                                           \
      "encoded, twice what a list may have decoded: read to its end only to answer 431")           \
    X(continuations, "frames", 8, 1, 64,                                                           \
      "per header block; clients send none below 16 KiB")                                          \
    X(streams, "streams", 32, 1, 100,                                                              \
      "advertised as MAX_CONCURRENT_STREAMS; the library refuses beyond 100")                      \
    X(reset_burst, "resets", 64, 1, 100000,                                                        \
      "streams closed unfinished, by either side: a client that cancels all it has open, twice")   \
    X(reset_per_s, "resets/s", 6, 0, 100000,                                                       \
      "sustained: 64 in 10 s; each request earns a quarter more, so one in five may be cancelled") \
    X(frame_burst, "frames", 300, 10, 1000000,                                                     \
      "PING, SETTINGS, PRIORITY, empty DATA, WINDOW_UPDATE, RST_STREAM and unknown frames at once") \
    X(frame_per_s, "frames/s", 100, 1, 1000000,                                                    \
      "sustained; each request earns four more, every 4 KiB sent one more")                        \
    X(connection_body_bytes, "bytes", 32 << 20, 1 << 20, 1 << 30,                                  \
      "request bodies of one connection in memory: 32 streams of 1 MiB")                           \
    X(orphans, "works", 32, 1, 10000,                                                              \
      "backend works of one connection whose stream is gone; as many as it may have running")      \
    X(works, "works", 8192, 16, 1 << 20,                                                           \
      "backend works of the worker: twice its live fibers")                                        \
    X(connections, "connections", 8192, 16, 1 << 20,                                               \
      "per worker; below the usual limit of open files")                                           \
    X(address_connections, "connections", 1024, 1, 1 << 20,                                        \
      "per worker and address (IPv6: /64); a large partner's pool behind one gateway")             \
    X(opening_ms, "ms", 10000, 100, 600000,                                                        \
      "from accept to the first frame behind the TLS handshake and the preface")                   \
    X(frame_ms, "ms", 10000, 100, 600000,                                                          \
      "from the first byte of a frame to its last")                                                \
    X(header_ms, "ms", 5000, 100, 600000,                                                          \
      "from HEADERS to END_HEADERS")                                                               \
    X(body_ms, "ms", 10000, 100, 600000,                                                           \
      "for a request body, beside what rate_bytes_per_s allows for its size")                      \
    X(answer_ms, "ms", 15000, 100, 600000,                                                         \
      "for the client to take an answer, beside what rate_bytes_per_s allows for its size")        \
    X(rate_bytes_per_s, "bytes/s", 16384, 16, 1 << 30,                                             \
      "slowest line served; 1 MiB in 64 s")                                                        \
    X(idle_ms, "ms", 55000, 100, 3600000,                                                          \
      "without a request; PING and the like do not count")                                         \
    X(age_ms, "ms", 600000, 1000, 86400000,                                                        \
      "of a connection, then GOAWAY: certificates, limits and balance are renewed")                \
    X(drain_ms, "ms", 10000, 100, 600000,                                                          \
      "from GOAWAY to the end, for what is still running")

/* X(NAME, name, help) */
#define TB_GUARD_KINDS(X)                                                                          \
    X(HEADER_FIELDS, header_fields, "header blocks with too many fields; 431")                     \
    X(HEADER_BYTES, header_bytes, "header lists too large decoded; 431")                           \
    X(HEADER_BOMB, header_bomb, "header blocks of ten times too many fields; connection closed")   \
    X(HEADER_BLOCK, header_block, "header blocks too large encoded; connection closed")            \
    X(HEADER_CODING, header_coding, "header blocks that are not HPACK; connection closed")         \
    X(CONTINUATION, continuation, "CONTINUATION: too many, empty, or behind GOAWAY; closed")       \
    X(MALFORMED, malformed, "malformed requests (RFC 9113 8.1.1); stream reset")                   \
    X(TRAILERS, trailers, "trailer sections read and left out of the header fields")               \
    X(RESET, reset, "streams closed before their answer was, by either side")                      \
    X(RESET_BUDGET, reset_budget, "connections closed for too many resets and refused requests")   \
    X(FRAME_BUDGET, frame_budget, "connections closed for too many control frames")                \
    X(UNKNOWN_FRAME, unknown_frame, "frames of unknown type, swallowed")                           \
    X(BODY_LIMIT, body_limit, "bodies larger than any may be, declared or come; 413")              \
    X(BODY_BYTES, body_bytes, "bodies refused: the connection has too many bytes in memory; 503")  \
    X(WINDOW, window, "answered streams kept out of window updates that would abort the library")  \
    X(ORPHANS, orphans, "connections closed for too much work behind closed streams")              \
    X(WORK_REFUSED, work_refused, "works refused: the worker has no room")                         \
    X(CONNECTION_REFUSED, connection_refused, "connections refused: the worker has no room")       \
    X(ADDRESS_REFUSED, address_refused, "connections refused: too many from one address")          \
    X(SLOW_OPENING, slow_opening, "connections closed: no first frame in time")                    \
    X(SLOW_FRAME, slow_frame, "connections closed: a frame took too long to arrive")               \
    X(SLOW_HEADERS, slow_headers, "connections closed: a header block took too long")              \
    X(SLOW_BODY, slow_body, "HTTP/2 bodies that took too long; 408")                               \
    X(SLOW_ANSWER, slow_answer, "connections closed: the client did not take its answer")          \
    X(SLOW_CLOSE, slow_close, "connections cut: the client did not let them close")                \
    X(IDLE, idle, "connections closed: no request for a long time")                                \
    X(AGED, aged, "connections asked to leave because of their age")                               \
    X(HTTP1_REFUSED, http1_refused, "HTTP/1 heads refused: smuggling or bad syntax; 400")          \
    X(CHUNKED_REFUSED, chunked_refused, "HTTP/1 chunked bodies refused: bad syntax; 400")          \
    X(EXPECTATION, expectation, "requests that expect what is not known; 417")                     \
    X(UPGRADE_REFUSED, upgrade_refused, "h2c upgrades ignored")                                    \
    X(MISDIRECTED, misdirected, "requests for an authority that is not ours; 421")
// clang-format on

enum tb_guard_kind_index {
#define X(NAME, name, help) TB_GUARD_##NAME,
    TB_GUARD_KINDS(X)
#undef X
        TB_GUARD_KIND_N
};

enum {
#define X(name, unit, value, min, max, reason) TB_GUARD_LIMIT_##name,
    TB_GUARD_LIMITS(X)
#undef X
        TB_GUARD_LIMIT_N
};

#endif
