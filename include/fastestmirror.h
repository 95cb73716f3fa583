/* libfastestmirror: decides in which order a package manager tries its mirrors. C99, C++11; Linux.
 *
 * It measures the TCP connect latency of each mirror, shuffles those nearer than twice the best, so
 * that they share the load, and appends the rest by latency. An endpoint (host and port)
 * gets at most two connection attempts in a call, an address at most eight; no data is sent.
 *
 * The order: file: URLs; the pool, shuffled by default; the others with a latency, nearest first;
 * those that a client reaches only after waiting for another address, nearest first; those from
 * which downloads have failed lately (fm_ranker_set_history()); the silent ones; the failed ones.
 * URLs of one host stand together, at its lowest latency and with its highest weight. If no mirror
 * has answered: file: URLs and then the given order. All but the excluded come out, each once.
 *
 *     fm_ranker *ranker = fm_ranker_new();
 *     fm_ranking *ranking = NULL;
 *     fm_mirror mirror;
 *     if (ranker && fm_rank(ranker, urls, NULL, count, &ranking) == FM_OK)
 *         for (size_t i = 0; fm_ranking_mirror(ranking, i, &mirror) == FM_OK; i++)
 *             puts(mirror.url);
 *     fm_ranking_free(ranking);
 *     fm_ranker_free(ranker);
 *
 * CONTRACT, for all functions:
 *
 * Ownership. What a _new function, fm_rank() or fm_cache_read() makes is freed with its _free
 *   function, and with nothing else; freeing NULL is fine. Strings and arrays that are passed in
 *   are copied and stay the caller's. Strings that come out belong to the object they come from and
 *   are valid until it is freed, unless their description says otherwise.
 * Errors. Functions that can fail return FM_OK (0) or another fm_status, as an int. Outputs come
 *   last and are written only on success. fm_ranker_error() or fm_history_error() has the message
 *   of the last failure. Whatever fails, the caller still has its own list in the given order. A
 *   mirror that cannot be reached is no error but an outcome.
 * NULL. A NULL object, array or output is FM_INVALID_ARGUMENT, never a crash; a NULL array is fine
 *   where its count is 0. A pointer that is neither NULL nor valid is undefined behavior.
 * Units. Times are in seconds (double); positions count from 0. Strings are bytes that end in NUL;
 *   schemes and host names are compared as ASCII, ignoring case.
 * Enums. They are passed as int, have the values written here and are never renumbered. A later
 *   version may add values: have a default case.
 * Threads. Different rankers may be used in different threads at once. One ranker serves one call
 *   at a time, and a second one gets FM_BUSY. Only fm_ranker_cancel() may come at any time, from
 *   any thread or signal handler, while the ranker exists: remove the handler before
 *   fm_ranker_free(). A history may be used by several threads: they wait for each other. A
 *   ranking or an fm_cache never changes and may be read by all threads. Callbacks run on the
 *   thread that called fm_rank(). They may call fm_ranker_cancel(), and nothing else with this
 *   ranker; they must return (no longjmp, no C++ exception).
 * Processes. After a fork the child may use the library with rankers of its own, and free those it
 *   has inherited; a callback must not fork and return in the child. A thread in fm_rank() must not
 *   be canceled (pthread_cancel()), and a signal handler must not jump out of it: the ranker would
 *   stay busy. A callback must not close descriptors that it has not opened.
 * Hanging lookups. A name lookup cannot be stopped from outside. One that hangs keeps its thread
 *   after the call, until the system's resolver returns, which may be never. A process has at most
 *   160 threads for lookups. Each has the resolver's own descriptors (one for each name server),
 *   and address space for a stack of 1 MiB and for what malloc() sets aside for a thread (glibc: up
 *   to 64 MiB). The shared library is never unloaded, even by dlclose().
 *   While they hang, unshare(CLONE_NEWUSER) fails, as in any program with threads, and the resolver
 *   may use a descriptor that the program has closed and opened anew. They keep their root and
 *   working directory when the program changes its own, where unshare(CLONE_FS) is allowed; a file
 *   system that holds these stays busy.
 * Side effects. The library never prints, never exits, installs no signal handler and reads no
 *   environment variable (the system's resolver may). Its threads do nothing but name lookups, with
 *   all signals blocked but those of faults (SIGSEGV and its like). fm_rank() takes up to 64 KiB of
 *   the caller's stack. An internal error (a bug) that it catches is FM_INTERNAL. When the system
 *   has no memory left, the process aborts with a line on standard error. That and the signal of
 *   RLIMIT_FSIZE, when a cache is written that may not grow so far, are the exceptions.
 * Versions. Until 1.0 a change of the ABI, structs included, changes the soname.
 */


#ifndef FASTESTMIRROR_H
#define FASTESTMIRROR_H

#include <stddef.h>
#include <stdint.h>

/* The version of this header; fm_version() returns that of the library. */
#define FASTESTMIRROR_VERSION "0.1.0"
#define FASTESTMIRROR_VERSION_MAJOR 0
#define FASTESTMIRROR_VERSION_MINOR 1
#define FASTESTMIRROR_VERSION_PATCH 0
/* 0xMMmmpp, to compare: #if FASTESTMIRROR_VERSION_NUMBER >= 0x000200 */
#define FASTESTMIRROR_VERSION_NUMBER 0x000100

typedef struct fm_ranker fm_ranker;
typedef struct fm_ranking fm_ranking;
typedef struct fm_cache fm_cache;
typedef struct fm_history fm_history;

/* For fm_ranker_set_fallbacks(): measure every mirror. */
#define FM_FALLBACKS_ALL ((size_t)-1)


/**
 * What a function returns.
 */
typedef enum fm_status {
  /**
   * The call succeeded.
   */
  FM_OK = 0,
  /**
   * A NULL pointer, a number out of its range, or an unknown enum value. If the call has a
   * ranker, fm_ranker_error() names the argument.
   */
  FM_INVALID_ARGUMENT = 1,
  /**
   * The filters exclude every mirror.
   */
  FM_ALL_EXCLUDED = 2,
  /**
   * The system has no file descriptor left to measure with, or no random numbers.
   */
  FM_SYSTEM = 3,
  /**
   * The ranker is in use: by another thread, or by the call that is calling this callback.
   */
  FM_BUSY = 4,
  /**
   * Internal error (a bug in this library), which was caught.
   */
  FM_INTERNAL = 5,
  /**
   * The cache does not exist, may not be read, or is no cache.
   */
  FM_UNREADABLE_CACHE = 6,
  /**
   * The cache cannot be written.
   */
  FM_UNWRITABLE_CACHE = 7,
} fm_status;

/**
 * Address families, for fm_ranker_set_family().
 */
typedef enum fm_family {
  /**
   * IPv4 and IPv6, as the system prefers.
   */
  FM_FAMILY_ANY = 0,
  /**
   * IPv4 only.
   */
  FM_FAMILY_IPV4 = 4,
  /**
   * IPv6 only.
   */
  FM_FAMILY_IPV6 = 6,
} fm_family;

/**
 * Orders of the hosts in the pool, for fm_ranker_set_pool_order().
 */
typedef enum fm_pool_order {
  /**
   * Shuffled by seed and weights, so that they share the load.
   */
  FM_POOL_SHUFFLED = 0,
  /**
   * As the list has them: for lists that a server has shuffled by the capacity of the mirrors.
   */
  FM_POOL_GIVEN = 1,
} fm_pool_order;

/**
 * Protocols, for fm_ranker_set_protocols(): values to be combined with |.
 */
typedef enum fm_protocol {
  /**
   * http:
   */
  FM_PROTOCOL_HTTP = 1,
  /**
   * https:
   */
  FM_PROTOCOL_HTTPS = 2,
  /**
   * ftp:
   */
  FM_PROTOCOL_FTP = 4,
  /**
   * file:
   */
  FM_PROTOCOL_FILE = 8,
} fm_protocol;

/**
 * What became of a mirror.
 */
typedef enum fm_outcome {
  /**
   * Its TCP handshake was timed in this call.
   */
  FM_OUTCOME_MEASURED = 0,
  /**
   * Its latency comes from the cache: it was measured in an earlier call.
   */
  FM_OUTCOME_CACHED = 1,
  /**
   * A file: URL, on this machine.
   */
  FM_OUTCOME_LOCAL = 2,
  /**
   * No reply came before measuring stopped: the mirror is far away or down, or was never tried.
   */
  FM_OUTCOME_UNANSWERED = 3,
  /**
   * The host refused the connection.
   */
  FM_OUTCOME_REFUSED = 4,
  /**
   * The network reported that the host cannot be reached.
   */
  FM_OUTCOME_UNREACHABLE = 5,
  /**
   * Its name has no address, or none of the requested family, or the lookup failed.
   */
  FM_OUTCOME_UNRESOLVED = 6,
  /**
   * Not the URL of a host to which a connection can be made.
   */
  FM_OUTCOME_UNSUPPORTED = 7,
  /**
   * Dropped by a filter.
   */
  FM_OUTCOME_EXCLUDED = 8,
} fm_outcome;

/**
 * Why measuring stopped.
 */
typedef enum fm_stop_reason {
  /**
   * Nothing had to be measured.
   */
  FM_STOP_IDLE = 0,
  /**
   * Every mirror has an outcome. (Mirrors beyond a limit count as unanswered.)
   */
  FM_STOP_COMPLETE = 1,
  /**
   * No mirror that is still silent can belong to the pool, unless its packet was lost, and
   * enough fallbacks are known, or they have been waited for long enough.
   */
  FM_STOP_SETTLED = 2,
  /**
   * No reply came for longer than any mirror took to answer: the silent ones are down or far
   * away.
   */
  FM_STOP_QUIET = 3,
  /**
   * The timeout was reached.
   */
  FM_STOP_TIMEOUT = 4,
  /**
   * fm_ranker_cancel() was called, or the interrupt check returned a value other than 0.
   */
  FM_STOP_CANCELLED = 5,
} fm_stop_reason;

/**
 * The severity of a log line, for fm_log_fn.
 */
typedef enum fm_log_level {
  /**
   * Of interest when looking for the reason of a choice.
   */
  FM_LOG_DEBUG = 0,
  /**
   * Something did not work as it should, and somebody may want to mend it.
   */
  FM_LOG_WARNING = 1,
} fm_log_level;

/**
 * What is remembered of a mirror.
 */
typedef enum fm_remembered {
  /**
   * It answered.
   */
  FM_REMEMBERED_LATENCY = 0,
  /**
   * It answered, but at an address that the client tries only after it has waited for another
   * one.
   */
  FM_REMEMBERED_DETOURED = 1,
  /**
   * It refused the connection.
   */
  FM_REMEMBERED_REFUSED = 2,
  /**
   * The network reported that it cannot be reached.
   */
  FM_REMEMBERED_UNREACHABLE = 3,
  /**
   * Its name has no address, or the lookup did not finish.
   */
  FM_REMEMBERED_UNRESOLVED = 4,
  /**
   * It did not reply within some time.
   */
  FM_REMEMBERED_SILENT = 5,
} fm_remembered;

/**
 * In which network something was found out.
 */
typedef enum fm_network {
  /**
   * The one that this machine is in.
   */
  FM_NETWORK_THIS = 0,
  /**
   * Another one: it does not count here.
   */
  FM_NETWORK_ANOTHER = 1,
  /**
   * Not known, as with all records of librepo: it counts everywhere.
   */
  FM_NETWORK_UNKNOWN = 2,
} fm_network;

/**
 * The filter that dropped a mirror.
 */
typedef enum fm_filter {
  /**
   * fm_ranker_set_protocols().
   */
  FM_FILTER_PROTOCOL = 0,
  /**
   * fm_ranker_set_include(): its host matches none of the patterns.
   */
  FM_FILTER_INCLUDE = 1,
  /**
   * fm_ranker_set_exclude().
   */
  FM_FILTER_EXCLUDE = 2,
} fm_filter;

/**
 * What became of the download of a file, for fm_history_report().
 */
typedef enum fm_download {
  /**
   * The file arrived, and is the right one.
   */
  FM_DOWNLOAD_OK = 0,
  /**
   * The mirror does not have the file: 404 or 410 over HTTP.
   */
  FM_DOWNLOAD_MISSING = 1,
  /**
   * The file has another checksum or size than expected: the mirror is not up to date.
   */
  FM_DOWNLOAD_STALE = 2,
  /**
   * The download failed in another way that may be the mirror's fault: a timeout, a connection
   * that was reset, a status of 5xx, or a transfer too slow to go on with.
   */
  FM_DOWNLOAD_BROKEN = 3,
} fm_download;

/**
 * What a ranking makes of the downloads before it, for fm_ranker_set_history().
 */
typedef enum fm_history_use {
  /**
   * Nothing.
   */
  FM_HISTORY_OFF = 0,
  /**
   * Mirrors whose downloads failed in the last hour stand behind all others that have a latency.
   */
  FM_HISTORY_TROUBLE = 1,
  /**
   * That, and members of the pool that are much slower than the others stand at its end.
   */
  FM_HISTORY_ALL = 2,
} fm_history_use;

/**
 * Why a mirror stands further back than its latency would put it.
 */
typedef enum fm_demotion_reason {
  /**
   * It lacked a file of this repository that another mirror had.
   */
  FM_DEMOTION_MISSING = 0,
  /**
   * It had another version of a file of this repository than was expected, and another mirror
   * had the right one.
   */
  FM_DEMOTION_STALE = 1,
  /**
   * A download from its host failed, and one from another host succeeded.
   */
  FM_DEMOTION_BROKEN = 2,
  /**
   * Downloads from its host are much slower than from others of the pool.
   */
  FM_DEMOTION_SLOW = 3,
} fm_demotion_reason;

/**
 * Called with `completed` 0 when measuring begins, and whenever more endpoints have an outcome:
 * `completed` of `total`, which need not become equal; `best` is the lowest latency so far in
 * seconds, negative while there is none. Not called if there is nothing to measure. As every
 * callback it may call fm_ranker_cancel(), and nothing else with this ranker; it must return (no
 * longjmp, no C++ exception).
 */
typedef void (*fm_progress_fn)(size_t completed, size_t total, double best, void *userdata);

/**
 * Called with each line for a log: `level` is an fm_log_level, `message` a string in UTF-8,
 * without line end or other control characters and without the user names and passwords of URLs,
 * valid during the call.
 */
typedef void (*fm_log_fn)(int level, const char *message, void *userdata);

/**
 * Called at least every 20 ms while measuring. Measuring stops when it returns a value other than
 * 0, as with fm_ranker_cancel().
 */
typedef int (*fm_interrupt_fn)(void *userdata);

/**
 * The result as a whole.
 */
typedef struct fm_summary {
  /**
   * How many mirrors are in the order: all that were given, except the excluded.
   */
  size_t mirrors;
  /**
   * How many a filter dropped.
   */
  size_t excluded;
  /**
   * How many have a latency.
   */
  size_t answered;
  /**
   * How many are in the pool.
   */
  size_t pool;
  /**
   * The seed of the shuffle.
   */
  uint64_t seed;
  /**
   * How long measuring and ranking took, in seconds.
   */
  double elapsed;
  /**
   * Why measuring stopped: an fm_stop_reason.
   */
  int stop_reason;
  /**
   * Not 0 if nearly all of many hosts are equally near: a middlebox may be answering for all of
   * them.
   */
  int ambiguous;
} fm_summary;

/**
 * A mirror in its place. The strings belong to the ranking.
 */
typedef struct fm_mirror {
  /**
   * Its position in the given list, from 0.
   */
  size_t index;
  /**
   * Its URL, byte for byte as it was given.
   */
  const char *url;
  /**
   * The address that answered in this call, as "192.0.2.7:443" or "[2001:db8::7]:443"; NULL if
   * none did.
   */
  const char *address;
  /**
   * Its latency in seconds; negative if unknown.
   */
  double latency;
  /**
   * What became of it: an fm_outcome.
   */
  int outcome;
  /**
   * Not 0 if it is in the pool: its host is near enough to the best one to share the load with
   * it.
   */
  int pool;
  /**
   * Not 0 if the latency may be off by a millisecond or, after a lost SYN-ACK, by a second.
   */
  int imprecise;
  /**
   * Not 0 if the outcome was read from the cache.
   */
  int from_cache;
  /**
   * Not 0 if every connection of the client to this mirror waits: the address that it tries
   * first is silent, although its family works, and another one answered.
   */
  int detoured;
} fm_mirror;

/**
 * Why a mirror stands where it stands, beside its fm_mirror.
 */
typedef struct fm_reason {
  /**
   * The remembered latency in seconds, or for FM_REMEMBERED_SILENT the time without a reply;
   * negative if there is none.
   */
  double remembered_time;
  /**
   * The time since that was found out, in seconds; negative if nothing was remembered.
   */
  double remembered_age;
  /**
   * How many addresses were tried in this call: 0 to 2.
   */
  size_t tried;
  /**
   * What the cache remembered before this call, if it was believed: an fm_remembered; negative
   * if nothing. It is the reason of the outcome if that is from the cache; otherwise the mirror
   * was asked again.
   */
  int remembered;
  /**
   * Not 0 if its host matches a pattern of fm_ranker_set_prefer().
   */
  int preferred;
  /**
   * Not 0 if its name was still being looked up when measuring stopped.
   */
  int lookup_unfinished;
} fm_reason;

/**
 * An address that was tried, and what came of it. The string belongs to the ranking.
 */
typedef struct fm_tried {
  /**
   * The address, as "192.0.2.7:443" or "[2001:db8::7]:443".
   */
  const char *address;
  /**
   * The latency in seconds; negative if it did not answer.
   */
  double latency;
  /**
   * The time in seconds from the SYN until the outcome, or until it was not waited for any more.
   */
  double waited;
  /**
   * FM_OUTCOME_MEASURED, FM_OUTCOME_UNANSWERED, FM_OUTCOME_REFUSED or FM_OUTCOME_UNREACHABLE.
   */
  int outcome;
} fm_tried;

/**
 * One fact in a cache file. The strings belong to the fm_cache.
 */
typedef struct fm_cache_record {
  /**
   * The scheme of the URLs that it is about: "http", "https" or "ftp".
   */
  const char *scheme;
  /**
   * The host name, or an IP address without brackets.
   */
  const char *host;
  /**
   * The address of the host, if other names of its list led to it, too; NULL otherwise.
   */
  const char *shared_address;
  /**
   * The latency in seconds, or for FM_REMEMBERED_SILENT the time without a reply; negative if
   * there is none.
   */
  double time;
  /**
   * The time since it was found out, in seconds.
   */
  double age;
  /**
   * For how much longer it counts, in seconds; 0 if it is outdated.
   */
  double remaining;
  /**
   * The port.
   */
  unsigned int port;
  /**
   * What is remembered: an fm_remembered.
   */
  int remembered;
  /**
   * Where it was found out: an fm_network.
   */
  int network;
  /**
   * Not 0 if librepo wrote it, rather than this library.
   */
  int of_librepo;
  /**
   * Not 0 if a call of fm_rank() here and now would use it: it is not outdated, not of another
   * network, and no better one about the same endpoint is in the file.
   */
  int counts;
} fm_cache_record;

/**
 * Why a mirror stands further back. The string belongs to the ranking.
 */
typedef struct fm_demotion {
  /**
   * The reason with its numbers, for people: part of a sentence.
   */
  const char *text;
  /**
   * The time since the failure, in seconds; negative for FM_DEMOTION_SLOW.
   */
  double age;
  /**
   * For FM_DEMOTION_SLOW its mean speed, in bytes per second; else negative.
   */
  double speed;
  /**
   * For FM_DEMOTION_SLOW the median speed of the others of the pool, in bytes per second; else
   * negative.
   */
  double others;
  /**
   * An fm_demotion_reason.
   */
  int reason;
} fm_demotion;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Returns what a status means, in a few words. Never NULL, never to be freed; an unknown status
 * has a text too.
 */
const char *fm_status_text(int status);

/**
 * Returns the version of the library, "MAJOR.MINOR.PATCH". Never NULL, never to be freed.
 */
const char *fm_version(void);

/**
 * Makes a ranker with the defaults that each setter names. Returns NULL only after an internal
 * error (a bug). A ranker holds memory and nothing else.
 */
fm_ranker *fm_ranker_new(void);

/**
 * Frees a ranker. NULL is fine. No call may be using it; its results stay valid.
 */
void fm_ranker_free(fm_ranker *ranker);

/**
 * Returns the message of the last failed call with this ranker: it names the argument and what is
 * wrong with it. Empty if none has failed; "the ranker is in use" while a call with it is under
 * way; "the ranker is NULL" for NULL. Never NULL; valid until the next call with this ranker, by
 * any thread.
 */
const char *fm_ranker_error(const fm_ranker *ranker);

/**
 * Stops the measuring of the call of fm_rank() that is under way in another thread, or that is
 * calling this callback; if none is, of the next one. That call still succeeds, with what is known
 * so far, and uses the cancel up; its stop reason is FM_STOP_CANCELLED unless measuring had
 * stopped already. May be called from a signal handler.
 */
void fm_ranker_cancel(const fm_ranker *ranker);

/**
 * Measures `count` mirrors and puts them in order. Blocks until measuring stops, at most for the
 * timeout and a few milliseconds; a list of many thousands, and the callbacks, take their own time
 * beside that.
 *
 * `urls` holds `count` strings, which are copied; a URL to which no connection can be made is no
 * error but an outcome. `weights` holds as many positive, finite numbers, or is NULL for all
 * equal: a host of weight 2 leads the pool twice as often as one of weight 1. On success
 * `*ranking` is set, to be freed with fm_ranking_free(); on failure it is left as it was, and the
 * order to use is the caller's own.
 */
int fm_rank(fm_ranker *ranker,
            const char *const *urls,
            const double *weights,
            size_t count,
            fm_ranking **ranking);

/**
 * Sets how long fm_rank() may take in all, lookups included: 0 to 3600 seconds, default 2. With 0
 * nothing is measured.
 */
int fm_ranker_set_timeout(fm_ranker *ranker, double timeout);

/**
 * Sets how many hosts outside the pool are enough, so that a client whose pool fails has somewhere
 * to go; default 16. Once the pool is proved (no other mirror can belong to it), measuring stops
 * as soon as so many have a latency, or when as long again as proving it took has passed, at least
 * 10 and at most 50 ms. Mirrors that are silent until then follow in the given order. With
 * FM_FALLBACKS_ALL neither counts: measuring goes on until every mirror has answered or no further
 * replies come.
 */
int fm_ranker_set_fallbacks(fm_ranker *ranker, size_t fallbacks);

/**
 * Sets the address family to connect over: an fm_family, default FM_FAMILY_ANY.
 */
int fm_ranker_set_family(fm_ranker *ranker, int family);

/**
 * Sets the factor of the pool: mirrors nearer than this many times the best latency belong to it;
 * 1 to 1000, default 2.
 */
int fm_ranker_set_factor(fm_ranker *ranker, double factor);

/**
 * Sets the slack of the pool: mirrors nearer than the best latency plus this many seconds belong
 * to it, too; 0 to 60, default 0. In a data center 1 ms from its nearest mirror, a factor alone
 * leaves the whole load to that mirror.
 */
int fm_ranker_set_slack(fm_ranker *ranker, double slack);

/**
 * Sets the order of the hosts in the pool: an fm_pool_order, default FM_POOL_SHUFFLED. Preferred
 * hosts are first in either (fm_ranker_set_prefer()), and the URLs of a host stay together.
 *
 * FM_POOL_GIVEN is for lists that a server shuffles by the capacity of the mirrors, anew for each
 * request, as MirrorManager does: the nearest mirrors then share the load in proportion to their
 * capacity. The place of a host is that of its first URL; seed and weights have no effect. With a
 * list that stays the same, all clients would go to the same mirror.
 */
int fm_ranker_set_pool_order(fm_ranker *ranker, int order);

/**
 * Sets another list of `count` URLs by which a pool in the given order is put in order, so that
 * several lists agree on it: the hosts stand as this list has them, followed by those that it
 * lacks, as their own list has them. Default, and with no URL: none. Has no effect on a shuffled
 * pool (fm_ranker_set_pool_order()), nor on mirrors outside the pool.
 */
int fm_ranker_set_pool_reference(fm_ranker *ranker, const char *const *urls, size_t count);

/**
 * Sets the seed of the shuffle: with one seed, two hosts of equal weight stand in the same order
 * in every list and on every machine. Default: from the operating system, fresh in every process,
 * after a fork, and every hour, so that all lists of a transaction agree and the load is spread
 * over the pool.
 */
int fm_ranker_set_seed(fm_ranker *ranker, uint64_t seed);

/**
 * Keeps only mirrors of these protocols: fm_protocol values combined with |. Default, and with 0:
 * all, including URLs of no known protocol.
 */
int fm_ranker_set_protocols(fm_ranker *ranker, unsigned int protocols);

/**
 * Keeps only mirrors whose host matches one of `count` patterns; default, and with none: all. A
 * pattern is a glob over the whole name (* any text, ? any character) or a domain's suffix
 * (".gov"), of at most 1,024 characters. A URL without a host matches none.
 */
int fm_ranker_set_include(fm_ranker *ranker, const char *const *patterns, size_t count);

/**
 * Drops the mirrors whose host matches one of `count` patterns, even if they are included; default
 * none.
 */
int fm_ranker_set_exclude(fm_ranker *ranker, const char *const *patterns, size_t count);

/**
 * Moves mirrors whose host matches one of `count` patterns to the front of the pool, and to the
 * front of the other mirrors that have a latency; default none. A mirror that has not answered
 * stays where it is.
 */
int fm_ranker_set_prefer(fm_ranker *ranker, const char *const *patterns, size_t count);

/**
 * Sets the cache file, in librepo's format, or none with NULL; default none.
 *
 * A latency is remembered for the maximal age (fm_ranker_set_max_age()). For one hour the file
 * remembers that a mirror refused or was unreachable, that its name has no address or that looking
 * it up took too long, that it is detoured, and for how long it was silent. Such a silence counts
 * in another list only where it is at least as long as the limit of that list's pool. Nothing is
 * remembered if no mirror answered, or if the result is ambiguous.
 *
 * What is remembered is not measured again, but it is checked before it is believed: the first
 * mirrors of the pool that it predicts are asked again (fm_ranker_set_check_after()). One that is
 * silent counts as unanswered, and a new latency replaces the old one. If none of them answers
 * within the limit of that pool, or all that answer take less than half the remembered time,
 * nothing that is remembered counts, and every mirror is measured.
 *
 * A file that cannot be used is no error but a warning: fm_ranking_warning(). A relative path
 * counts from the current directory of the call of fm_rank().
 */
int fm_ranker_set_cache(fm_ranker *ranker, const char *path);

/**
 * Sets how old a remembered latency may be, in seconds from 0, default 30 days. With 0 nothing
 * from before the current second counts.
 */
int fm_ranker_set_max_age(fm_ranker *ranker, double age);

/**
 * Sets how long a mirror that has answered is believed without being asked again, in seconds from
 * 0: the first eight hosts of the pool that the remembered latencies predict are asked again,
 * unless each was heard within this time, in this process or another one that uses the same cache.
 * Default 600 (10 minutes); with 0 they are asked in each call. Has no effect without a cache.
 */
int fm_ranker_set_check_after(fm_ranker *ranker, double seconds);

/**
 * Measures public addresses only, unless `public_only` is 0, which is the default, since private
 * mirrors are common. For lists from others: they could otherwise make this machine connect to its
 * own network, or ask the metadata service of a cloud.
 *
 * A mirror that is given by an address that is private, link-local, loopback, reserved or the like
 * is FM_OUTCOME_UNSUPPORTED then. So is one whose name leads to such an address, among others or
 * alone. The list's only endpoint is measured nevertheless.
 */
int fm_ranker_set_public_only(fm_ranker *ranker, int public_only);

/**
 * Keeps the seed in the cache for this long, in seconds, so that a machine keeps its order of
 * mirrors across processes, and has another one afterwards. Default, and with 0: a fresh seed in
 * every process and hour. Has no effect without a cache, or with fm_ranker_set_seed().
 */
int fm_ranker_set_rotate_every(fm_ranker *ranker, double seconds);

/**
 * Sets how many endpoints (host and port) to measure in a call at most, so that a hostile list
 * does not turn clients into a flood, and how many of one host; defaults 2048 and 4. Endpoints
 * beyond a limit, in the order given, count as unanswered.
 */
int fm_ranker_set_limits(fm_ranker *ranker, size_t endpoints, size_t endpoints_per_host);

/**
 * Sets the function that is called with progress, on the thread that called fm_rank(), or none
 * with NULL.
 */
int fm_ranker_set_progress(fm_ranker *ranker, fm_progress_fn progress, void *userdata);

/**
 * Sets the function that is called with lines for a log, on the thread that called fm_rank(), or
 * none with NULL: what became of each mirror, why measuring stopped, and warnings.
 */
int fm_ranker_set_log(fm_ranker *ranker, fm_log_fn log, void *userdata);

/**
 * Sets the function that is asked whether to stop measuring, on the thread that called fm_rank(),
 * or none with NULL: for a flag that the program's own signal handler sets. It is called at least
 * every 20 ms.
 */
int fm_ranker_set_interrupt_check(fm_ranker *ranker, fm_interrupt_fn check, void *userdata);

/**
 * Frees a result, and with it the strings that came from it. NULL is fine.
 */
void fm_ranking_free(fm_ranking *ranking);

/**
 * Writes the result as a whole to `*summary`. On failure (a NULL pointer) `*summary` is left as it
 * was.
 */
int fm_ranking_summary(const fm_ranking *ranking, struct fm_summary *summary);

/**
 * Returns how many hosts a slack of 5 ms would add to the pool, if that has fewer than three
 * hosts; else 0, and for NULL. Only hosts count whose latency is known. See fm_ranker_set_slack().
 */
size_t fm_ranking_slack_would_add(const fm_ranking *ranking);

/**
 * Writes the mirror at a position in the order in which to try them, from 0 to `mirrors` - 1, to
 * `*mirror`. On failure (a NULL pointer, a position beyond the last) `*mirror` is left as it was.
 */
int fm_ranking_mirror(const fm_ranking *ranking, size_t position, struct fm_mirror *mirror);

/**
 * Writes a mirror that a filter dropped to `*mirror`: by its position among them, in the order
 * given, from 0 to `excluded` - 1. On failure `*mirror` is left as it was.
 */
int fm_ranking_excluded(const fm_ranking *ranking, size_t position, struct fm_mirror *mirror);

/**
 * Returns a warning, by position from 0; NULL beyond the last: a sentence for a log on what could
 * not be done as it should. The cache was not used or not written, or mirrors were not tried for
 * want of descriptors, threads or memory. Usually there is none. The strings belong to the
 * ranking.
 */
const char *fm_ranking_warning(const fm_ranking *ranking, size_t position);

/**
 * Writes the lowest latency, by which the pool is judged, to `*best`, and the one below which a
 * host belongs to the pool to `*limit`, both in seconds. They are negative if no mirror has a
 * latency. On failure (a NULL pointer) both are left as they were.
 */
int fm_ranking_limit(const fm_ranking *ranking, double *best, double *limit);

/**
 * Writes why the mirror at a position stands there, from 0 to `mirrors` - 1, to `*reason`. On
 * failure (a NULL pointer, a position beyond the last) `*reason` is left as it was.
 */
int fm_ranking_reason(const fm_ranking *ranking, size_t position, struct fm_reason *reason);

/**
 * Writes an address that was tried for the mirror at a position to `*tried`: `number` counts from
 * 0, in the order of the attempts. On failure (a NULL pointer, a position or number beyond the
 * last) `*tried` is left as it was.
 */
int fm_ranking_tried(const fm_ranking *ranking,
                     size_t position,
                     size_t number,
                     struct fm_tried *tried);

/**
 * Writes which filter dropped an excluded mirror, by its position among them as in
 * fm_ranking_excluded(), to `*filter`: an fm_filter; and for FM_FILTER_EXCLUDE the position of the
 * pattern to `*pattern`, otherwise 0. On failure both are left as they were.
 */
int fm_ranking_filter(const fm_ranking *ranking, size_t position, int *filter, size_t *pattern);

/**
 * Reads the cache file of a ranker (fm_ranker_set_cache()): everything in it, and whether it
 * counts here and now, with latencies up to the maximal age (fm_ranker_set_max_age()). Nothing is
 * written. If a process is writing the file in place, this waits for up to 100 ms.
 *
 * On success `*cache` is set, to be freed with fm_cache_free(). A file that does not exist, may
 * not be read or is no cache is FM_UNREADABLE_CACHE, and fm_ranker_error() says why.
 */
int fm_cache_read(fm_ranker *ranker, fm_cache **cache);

/**
 * Frees what fm_cache_read() has made, and with it the strings that came from it. NULL is fine.
 */
void fm_cache_free(fm_cache *cache);

/**
 * Returns how many records there are; 0 for NULL.
 */
size_t fm_cache_size(const fm_cache *cache);

/**
 * Writes the record at a position, in the order of the file, from 0 to fm_cache_size() - 1, to
 * `*record`. An endpoint may have several: a latency and a newer note on an outcome, for example.
 * On failure (a NULL pointer, a position beyond the last) `*record` is left as it was.
 */
int fm_cache_get(const fm_cache *cache, size_t position, struct fm_cache_record *record);

/**
 * Writes the seed that the cache keeps (fm_ranker_set_rotate_every()) to `*seed`, and the time in
 * seconds since it was drawn to `*age`. FM_INVALID_ARGUMENT if there is none, or for a NULL
 * pointer; then both are left as they were.
 */
int fm_cache_seed(const fm_cache *cache, uint64_t *seed, double *age);

/**
 * Removes from the cache file of a ranker what is remembered of the hosts that match one of
 * `count` patterns (fm_ranker_set_include()): latencies, librepo's own among them, and failures.
 * Writes how many records that were to `*forgotten`; if none, the file is not written. All else in
 * the file stays as it is, except that librepo's records of URLs with a password lose that.
 *
 * FM_UNREADABLE_CACHE for a file that does not exist or is no cache, FM_UNWRITABLE_CACHE if it
 * cannot be written; fm_ranker_error() says why.
 */
int fm_cache_forget(fm_ranker *ranker,
                    const char *const *patterns,
                    size_t count,
                    size_t *forgotten);

/**
 * Removes all records from the cache file of a ranker. It stays a cache, with its mode and owner,
 * and keeps the seed if it has one. Otherwise as fm_cache_forget().
 */
int fm_cache_forget_all(fm_ranker *ranker, size_t *forgotten);

/**
 * Makes a history that will be written into this cache file, the one that fm_ranker_set_cache()
 * names. Opens nothing yet; a relative path counts from the current directory of this call. NULL
 * for a NULL or empty path, or after an internal error (a bug).
 */
fm_history *fm_history_new(const char *cache);

/**
 * Frees a history; what was not saved is lost. NULL is fine. No call may be using it.
 */
void fm_history_free(fm_history *history);

/**
 * Returns the message of the last failed call with this history. Empty if none has failed; "the
 * history is NULL" for NULL. Never NULL; valid until the next call with this history, by any
 * thread.
 */
const char *fm_history_error(const fm_history *history);

/**
 * Says that `count` URLs are mirrors of one repository, the base URLs as in its list. A failure
 * counts only if another mirror of the repository served a file afterwards. All mirrors of which
 * nothing is said here count as those of one repository, which errs where several repositories are
 * downloaded and one of them is out of date on the client.
 */
int fm_history_repository(fm_history *history, const char *const *urls, size_t count);

/**
 * Reports a download that ended just now. It is kept in memory, in the order of the reports.
 *
 * `url` is that of the mirror as in the list, to which the path of the file is added: its host and
 * path identify the repository there; one that leads to no host is ignored. `outcome` is an
 * fm_download. `bytes` and `seconds` are those of the body, without lookup, connection, TLS and
 * the time to the first byte; they count for successful downloads of at least 1 MiB. Do not report
 * a download that was cancelled, or that came from a cache; nor that a file is missing or stale
 * before another mirror has served the same file: with old metadata no mirror has it.
 */
int fm_history_report(fm_history *history,
                      const char *url,
                      int outcome,
                      uint64_t bytes,
                      double seconds);

/**
 * Writes what the reports amount to into the cache, and begins anew. If they show nothing, no file
 * is touched. Waits for up to 100 ms for another process that is writing. FM_UNWRITABLE_CACHE with
 * a warning, one sentence, in fm_history_error(): the file cannot be written, was no cache and was
 * replaced, or the network changed meanwhile. The reports are gone even so.
 *
 * All that a process writes within an hour counts as one run: of a host's speeds in it the last
 * one is kept.
 */
int fm_history_save(fm_history *history);

/**
 * Sets what is made of what downloads have shown, as fm_history_save() has written it into the
 * cache: an fm_history_use, default FM_HISTORY_OFF. Has no effect without a cache.
 *
 * With FM_HISTORY_TROUBLE a mirror whose downloads failed in the last hour, although another one
 * served that repository, stands behind all others that have a latency. It does not count for the
 * best latency, so that the pool is made by the others. With FM_HISTORY_ALL a member of the pool
 * with less than a quarter of the speed of the others, as far as two of its runs can tell, goes to
 * the end of the pool, and returns after about two weeks. Preferred hosts stay in front of the
 * others of the pool. Nothing is ever dropped, or moved to the front; fm_ranking_demotion() says
 * which mirrors these are, and why.
 */
int fm_ranker_set_history(fm_ranker *ranker, int history);

/**
 * Writes why the mirror at a position, as in fm_ranking_mirror(), stands further back than its
 * latency would put it, to `*demotion`. FM_INVALID_ARGUMENT if it does not, for a NULL pointer,
 * and for a position beyond the last; then `*demotion` is left as it was.
 */
int fm_ranking_demotion(const fm_ranking *ranking, size_t position, struct fm_demotion *demotion);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* FASTESTMIRROR_H */
