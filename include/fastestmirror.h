/* libfastestmirror: decides in which order a package manager tries its mirrors. C99 and C++11, Linux.
 *
 * It measures the TCP connect latency of each mirror, shuffles those nearer than twice the best, so that they share
 * the load, and appends the rest by latency. A mirror gets at most two connection attempts in a call, and not a byte
 * on them.
 *
 * The order: file: URLs; the pool, shuffled; the others with a latency, nearest first; those that were silent; those
 * that failed. URLs of one host stand together, at its lowest latency and with its highest weight. If nothing has
 * answered, file: URLs and then the order given. All but the excluded come out, each once.
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
 * Ownership. What a _new function or fm_rank() gives is freed by its _free function, and by nothing else; freeing
 *   NULL is fine. Strings and arrays that are passed in are copied and stay the caller's. Strings that come out
 *   belong to the object they come from and are valid until it is freed, unless its description says otherwise.
 * Errors. Functions that can fail return FM_OK (0) or another fm_status, as an int. Outputs come last and are
 *   written only on success. fm_ranker_error() has the message of the last failure. Whatever fails, the caller still
 *   has its own list in the order it had. That a mirror cannot be reached is no error but its outcome.
 * NULL. A NULL object, array or output is FM_INVALID_ARGUMENT, never a crash; a NULL array is fine where its count is
 *   0. A pointer that is neither NULL nor valid is undefined behaviour.
 * Units. Times are in seconds (double), sizes and positions count from 0. Strings are bytes that end in NUL; URLs
 *   and names are compared as ASCII without regard to case.
 * Enums. They cross as int, have the values written here and are never renumbered. A later version may add values:
 *   have a default case.
 * Threads. Different rankers may be used in different threads at once. One ranker is for one call at a time, and a
 *   second one gets FM_BUSY; only fm_ranker_cancel() may come at any time, from any thread or signal handler, while
 *   the ranker exists: take a handler away before fm_ranker_free(). A ranking never changes and may be read by all.
 *   Callbacks come on the thread that called.
 * Processes. After a fork the child may use the library, with rankers of its own, and free those it has inherited. A
 *   ranker keeps a descriptor: make it after closing all others, as daemons do. The shared library is never
 *   unloaded: the thread of a name look-up that hangs may outlive the call, and dlclose() too. No other thread and no
 *   descriptor does.
 * Manners. The library never prints, never exits, installs no signal handler and reads no environment variable (the
 *   system's resolver may). Its threads, which only look up names, have all signals blocked. A defect of its own that
 *   it catches is FM_INTERNAL. Where the system has no memory left at all, it aborts.
 * Versions. Until 1.0 a change of the ABI, structs included, changes the soname.
 */


#ifndef FASTESTMIRROR_H
#define FASTESTMIRROR_H

#include <stddef.h>
#include <stdint.h>

typedef struct fm_ranker fm_ranker;
typedef struct fm_ranking fm_ranking;

/* For fm_ranker_set_fallbacks(): measure every mirror. */
#define FM_FALLBACKS_ALL ((size_t)-1)


/**
 * What a function returns.
 */
typedef enum fm_status {
  /**
   * It worked.
   */
  FM_OK = 0,
  /**
   * A NULL pointer, a number out of its range, an unknown enum value. Of a call with a ranker, fm_ranker_error() names
   * it.
   */
  FM_INVALID_ARGUMENT = 1,
  /**
   * The filters exclude every mirror.
   */
  FM_ALL_EXCLUDED = 2,
  /**
   * The system has no descriptor left to measure with.
   */
  FM_SYSTEM = 3,
  /**
   * The ranker is in use: by another thread, or by the call whose callback this is.
   */
  FM_BUSY = 4,
  /**
   * A defect of this library was caught.
   */
  FM_INTERNAL = 5,
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
   * Its latency is known from an earlier call: from the cache.
   */
  FM_OUTCOME_CACHED = 1,
  /**
   * A file: URL, on this machine.
   */
  FM_OUTCOME_LOCAL = 2,
  /**
   * No reply before measuring ended: far, down, or never asked.
   */
  FM_OUTCOME_UNANSWERED = 3,
  /**
   * The host refused the connection.
   */
  FM_OUTCOME_REFUSED = 4,
  /**
   * The network said that the host cannot be reached.
   */
  FM_OUTCOME_UNREACHABLE = 5,
  /**
   * Its name has no address, or none of the family asked for, or could not be looked up.
   */
  FM_OUTCOME_UNRESOLVED = 6,
  /**
   * Not a URL of a host that could be connected to.
   */
  FM_OUTCOME_UNSUPPORTED = 7,
  /**
   * Dropped by a filter of the caller's.
   */
  FM_OUTCOME_EXCLUDED = 8,
} fm_outcome;

/**
 * Why measuring ended.
 */
typedef enum fm_ended {
  /**
   * Nothing needed to be measured.
   */
  FM_ENDED_IDLE = 0,
  /**
   * Every mirror has an outcome (those beyond a limit are unanswered).
   */
  FM_ENDED_COMPLETE = 1,
  /**
   * No mirror that is still silent can belong to the pool (unless its packet was lost), and enough fallbacks are
   * known.
   */
  FM_ENDED_SETTLED = 2,
  /**
   * Nothing was heard for longer than any mirror took to answer: who is silent still is down or far.
   */
  FM_ENDED_QUIET = 3,
  /**
   * The time was up.
   */
  FM_ENDED_TIMEOUT = 4,
  /**
   * fm_ranker_cancel() was called.
   */
  FM_ENDED_CANCELLED = 5,
} fm_ended;

/**
 * How far a call of fm_rank() has come, told whenever more endpoints have an outcome: `concluded` of `total`, which need
 * not become equal; `best` is the lowest latency so far in seconds, negative while there is none. It may call fm_ranker_cancel(), and nothing else with
 * this ranker; it must return (no longjmp, no C++ exception).
 */
typedef void (*fm_progress_fn)(void *userdata, size_t concluded, size_t total, double best);

/**
 * The result as a whole.
 */
typedef struct fm_summary {
  /**
   * How many mirrors are in the order: all that were given, except the excluded.
   */
  size_t mirrors;
  /**
   * How many were excluded by filters.
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
   * Why measuring ended: an fm_ended.
   */
  int ended;
  /**
   * Not 0 if nearly all of many hosts are equally near: a middlebox may be answering for all of them.
   */
  int indistinct;
} fm_summary;

/**
 * A mirror in its place. The strings belong to the ranking.
 */
typedef struct fm_mirror {
  /**
   * Its position in the list that was given, from 0.
   */
  size_t index;
  /**
   * Its URL, byte for byte as it was given.
   */
  const char *url;
  /**
   * The address that answered in this call, as "192.0.2.7:443" or "[2001:db8::7]:443"; NULL if none did.
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
   * Not 0 if it is in the pool: its host is near enough to the best to share the load with it.
   */
  int pool;
  /**
   * Not 0 if the latency may be off by a millisecond or, after a lost SYN-ACK, by a second.
   */
  int imprecise;
} fm_mirror;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * What a status means, in a few words. Never NULL, never to be freed; an unknown status has a text too.
 */
const char *fm_status_text(int status);

/**
 * The version of the library, "MAJOR.MINOR.PATCH". Never NULL, never to be freed.
 */
const char *fm_version(void);

/**
 * Makes a ranker with the defaults that each setter names. NULL if the system has no descriptor left: a
 * ranker keeps one, for fm_ranker_cancel(), until it is freed.
 */
fm_ranker *fm_ranker_new(void);

/**
 * Frees a ranker. NULL is fine. No call may be using it; results that it gave stay valid.
 */
void fm_ranker_free(fm_ranker *ranker);

/**
 * What the last failed call with this ranker had to say, for people: it names the argument and what is wrong
 * with it. Empty if none has failed; "the ranker is in use" while a call with it is under way; "the ranker is NULL"
 * for NULL. Never NULL; valid until the next call with this ranker, by any thread.
 */
const char *fm_ranker_error(const fm_ranker *ranker);

/**
 * How long fm_rank() may take in all, look-ups included: 0 to 3600 seconds, default 2. With 0 nothing is measured.
 */
int fm_ranker_set_timeout(fm_ranker *ranker,
                          double timeout);

/**
 * How many hosts outside the pool to measure before ending early, so that a client whose pool fails has somewhere
 * to go; default 16. With FM_FALLBACKS_ALL measuring goes on until every mirror has answered or nothing is heard
 * any more.
 */
int fm_ranker_set_fallbacks(fm_ranker *ranker,
                            size_t fallbacks);

/**
 * The address family to connect over: an fm_family, default FM_FAMILY_ANY.
 */
int fm_ranker_set_family(fm_ranker *ranker, int family);

/**
 * The pool holds what is nearer than this many times the best: 1 to 1000, default 2.
 */
int fm_ranker_set_factor(fm_ranker *ranker, double factor);

/**
 * The pool also holds what is nearer than the best plus this: 0 to 60 seconds, default 0. In a data centre 1 ms
 * from its nearest mirror a factor alone leaves that mirror alone with the load.
 */
int fm_ranker_set_slack(fm_ranker *ranker,
                        double slack);

/**
 * The seed of the shuffle: one seed gives two hosts of equal weight the same order in every list and on every
 * machine. Default: from the operating system, fresh in every process, after a fork, and every hour, so that all
 * lists of a transaction agree and the load is spread over the pool.
 */
int fm_ranker_set_seed(fm_ranker *ranker,
                       uint64_t seed);

/**
 * Keeps only mirrors of these protocols: fm_protocol values combined with |. Default, and with 0: all, and what is of
 * no known protocol too.
 */
int fm_ranker_set_protocols(fm_ranker *ranker,
                            unsigned int protocols);

/**
 * Keeps only mirrors whose host matches one of `count` patterns; default, and with none: all. A pattern is a glob
 * over the whole name (* any text, ? any character) or a domain's suffix (".gov"). A URL without a host matches
 * none.
 */
int fm_ranker_set_include(fm_ranker *ranker,
                          const char *const *patterns,
                          size_t count);

/**
 * Drops the mirrors whose host matches one of `count` patterns, included or not; default none.
 */
int fm_ranker_set_exclude(fm_ranker *ranker, const char *const *patterns, size_t count);

/**
 * Moves mirrors whose host matches one of `count` patterns to the front, within the pool and within the rest that
 * has a latency; default none. A mirror that has not answered stays where it is.
 */
int fm_ranker_set_prefer(fm_ranker *ranker,
                         const char *const *patterns,
                         size_t count);

/**
 * The file in which latencies are remembered, in librepo's format, or none with NULL; default none. What is remembered
 * is not measured again: a latency for the maximal age; for an hour that a mirror failed, or was outside the pool. Where
 * others have to be measured, the nearest one of those remembered is measured with them: if it answers, the network
 * is up, and who is silent is down. A file that cannot be used is no error: fm_ranking_note() tells.
 */
int fm_ranker_set_cache(fm_ranker *ranker,
                        const char *path);

/**
 * How old a remembered latency may be, in seconds from 0, default 30 days. With 0 nothing from before this
 * second counts.
 */
int fm_ranker_set_max_age(fm_ranker *ranker, double age);

/**
 * Keeps the seed in the cache for this long, in seconds, so that a machine keeps its order of mirrors across processes,
 * and has another one afterwards. Default, and with 0: a fresh seed in every process and hour. Without a cache, or
 * with a seed of the caller's, it has no effect.
 */
int fm_ranker_set_rotate_every(fm_ranker *ranker,
                               double seconds);

/**
 * How many endpoints (hosts and ports) to measure in a call at most, so that a hostile list does not turn clients
 * into a flood, and how many of one host; defaults 2048 and 4. Those beyond, in the order given, count as
 * unanswered.
 */
int fm_ranker_set_limits(fm_ranker *ranker,
                         size_t endpoints,
                         size_t endpoints_per_host);

/**
 * Sets the function that is told of progress, on the thread that called fm_rank(), or none with NULL.
 */
int fm_ranker_set_progress(fm_ranker *ranker, fm_progress_fn progress, void *userdata);

/**
 * Ends the call of fm_rank() that is under way in another thread, or around the callback that calls this; if none
 * is, the next one. That call still succeeds, with what is known so far, and uses the cancel up; it tells
 * FM_ENDED_CANCELLED unless it was over already. May be called from a signal handler.
 */
void fm_ranker_cancel(const fm_ranker *ranker);

/**
 * Measures `count` mirrors and puts them in order. Blocks until measuring ends, at most for the timeout and a few
 * milliseconds, what a list of many thousands takes by itself and the time in the progress function not counted.
 *
 * `urls` holds `count` strings, which are copied; what is not a URL that can be connected to is no error but an
 * outcome. `weights` holds as many positive, finite numbers, or is NULL for all equal: a host of weight 2 leads the
 * pool twice as often as one of weight 1. On success `*ranking` is set, to be freed by fm_ranking_free(); on failure
 * it is left as it was, and the order to use is the one that the caller has.
 */
int fm_rank(fm_ranker *ranker,
            const char *const *urls,
            const double *weights,
            size_t count,
            fm_ranking **ranking);

/**
 * Frees a result, and with it the strings that it gave. NULL is fine.
 */
void fm_ranking_free(fm_ranking *ranking);

/**
 * Tells about the result as a whole. On failure (a NULL pointer) `*summary` is left as it was.
 */
int fm_ranking_summary(const fm_ranking *ranking, struct fm_summary *summary);

/**
 * Tells about the mirror at a position in the order in which to try them, from 0 to `mirrors` - 1. On failure (a NULL
 * pointer, a position beyond the last) `*mirror` is left as it was.
 */
int fm_ranking_mirror(const fm_ranking *ranking,
                      size_t position,
                      struct fm_mirror *mirror);

/**
 * The same for the mirrors that a filter dropped, in the order given, from 0 to `excluded` - 1.
 */
int fm_ranking_excluded(const fm_ranking *ranking, size_t position, struct fm_mirror *mirror);

/**
 * What is to be said of the cache, if it could not be used as it should: sentences for a log, by position from 0; NULL
 * beyond the last, and mostly there is none. They belong to the ranking.
 */
const char *fm_ranking_note(const fm_ranking *ranking,
                            size_t position);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* FASTESTMIRROR_H */
