/* Prints sizes and offsets of the structs and values of the enums: a name and a number a line. */
#include "fastestmirror.h"

#include <stdio.h>

#define SIZE(type) printf("%s %zu\n", #type, sizeof(type))
#define OFFSET(type, field) printf("%s.%s %zu\n", #type, #field, offsetof(type, field))
#define VALUE(name) printf("%s %d\n", #name, (int)(name))

int main(void)
{
    SIZE(fm_cache_record);
    OFFSET(fm_cache_record, scheme);
    OFFSET(fm_cache_record, host);
    OFFSET(fm_cache_record, shared_address);
    OFFSET(fm_cache_record, time);
    OFFSET(fm_cache_record, age);
    OFFSET(fm_cache_record, remaining);
    OFFSET(fm_cache_record, port);
    OFFSET(fm_cache_record, remembered);
    OFFSET(fm_cache_record, network);
    OFFSET(fm_cache_record, of_librepo);
    OFFSET(fm_cache_record, counts);
    SIZE(fm_demotion);
    OFFSET(fm_demotion, text);
    OFFSET(fm_demotion, age);
    OFFSET(fm_demotion, speed);
    OFFSET(fm_demotion, others);
    OFFSET(fm_demotion, reason);
    SIZE(fm_mirror);
    OFFSET(fm_mirror, index);
    OFFSET(fm_mirror, url);
    OFFSET(fm_mirror, address);
    OFFSET(fm_mirror, latency);
    OFFSET(fm_mirror, outcome);
    OFFSET(fm_mirror, pool);
    OFFSET(fm_mirror, imprecise);
    OFFSET(fm_mirror, from_cache);
    OFFSET(fm_mirror, detoured);
    SIZE(fm_reason);
    OFFSET(fm_reason, remembered_time);
    OFFSET(fm_reason, remembered_age);
    OFFSET(fm_reason, tried);
    OFFSET(fm_reason, remembered);
    OFFSET(fm_reason, preferred);
    OFFSET(fm_reason, lookup_unfinished);
    SIZE(fm_summary);
    OFFSET(fm_summary, mirrors);
    OFFSET(fm_summary, excluded);
    OFFSET(fm_summary, answered);
    OFFSET(fm_summary, pool);
    OFFSET(fm_summary, seed);
    OFFSET(fm_summary, elapsed);
    OFFSET(fm_summary, stop_reason);
    OFFSET(fm_summary, ambiguous);
    SIZE(fm_tried);
    OFFSET(fm_tried, address);
    OFFSET(fm_tried, latency);
    OFFSET(fm_tried, waited);
    OFFSET(fm_tried, outcome);
    VALUE(FM_OK);
    VALUE(FM_INVALID_ARGUMENT);
    VALUE(FM_ALL_EXCLUDED);
    VALUE(FM_SYSTEM);
    VALUE(FM_BUSY);
    VALUE(FM_INTERNAL);
    VALUE(FM_UNREADABLE_CACHE);
    VALUE(FM_UNWRITABLE_CACHE);
    VALUE(FM_FAMILY_ANY);
    VALUE(FM_FAMILY_IPV4);
    VALUE(FM_FAMILY_IPV6);
    VALUE(FM_POOL_SHUFFLED);
    VALUE(FM_POOL_GIVEN);
    VALUE(FM_PROTOCOL_HTTP);
    VALUE(FM_PROTOCOL_HTTPS);
    VALUE(FM_PROTOCOL_FTP);
    VALUE(FM_PROTOCOL_FILE);
    VALUE(FM_OUTCOME_MEASURED);
    VALUE(FM_OUTCOME_CACHED);
    VALUE(FM_OUTCOME_LOCAL);
    VALUE(FM_OUTCOME_UNANSWERED);
    VALUE(FM_OUTCOME_REFUSED);
    VALUE(FM_OUTCOME_UNREACHABLE);
    VALUE(FM_OUTCOME_UNRESOLVED);
    VALUE(FM_OUTCOME_UNSUPPORTED);
    VALUE(FM_OUTCOME_EXCLUDED);
    VALUE(FM_STOP_IDLE);
    VALUE(FM_STOP_COMPLETE);
    VALUE(FM_STOP_SETTLED);
    VALUE(FM_STOP_QUIET);
    VALUE(FM_STOP_TIMEOUT);
    VALUE(FM_STOP_CANCELLED);
    VALUE(FM_LOG_DEBUG);
    VALUE(FM_LOG_WARNING);
    VALUE(FM_REMEMBERED_LATENCY);
    VALUE(FM_REMEMBERED_DETOURED);
    VALUE(FM_REMEMBERED_REFUSED);
    VALUE(FM_REMEMBERED_UNREACHABLE);
    VALUE(FM_REMEMBERED_UNRESOLVED);
    VALUE(FM_REMEMBERED_SILENT);
    VALUE(FM_NETWORK_THIS);
    VALUE(FM_NETWORK_ANOTHER);
    VALUE(FM_NETWORK_UNKNOWN);
    VALUE(FM_FILTER_PROTOCOL);
    VALUE(FM_FILTER_INCLUDE);
    VALUE(FM_FILTER_EXCLUDE);
    VALUE(FM_DOWNLOAD_OK);
    VALUE(FM_DOWNLOAD_MISSING);
    VALUE(FM_DOWNLOAD_STALE);
    VALUE(FM_DOWNLOAD_BROKEN);
    VALUE(FM_HISTORY_OFF);
    VALUE(FM_HISTORY_TROUBLE);
    VALUE(FM_HISTORY_ALL);
    VALUE(FM_DEMOTION_MISSING);
    VALUE(FM_DEMOTION_STALE);
    VALUE(FM_DEMOTION_BROKEN);
    VALUE(FM_DEMOTION_SLOW);
    return 0;
}
