#include "cached/cache_redis_script.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cached/cache_redis.h"

#define STRING_OF(x) #x
#define NUMBER(x) STRING_OF(x)
#define KEPT 10000
#define LOCK_MS 5000
#define RECORD_LAST 70000 /* one byte more than a record has: a longer one is no record */
_Static_assert(KEPT == CACHE_REDIS_EVENTS_KEPT && LOCK_MS == CACHE_REDIS_LOCK_MS, "as the header");
_Static_assert(RECORD_LAST == RECORD_MAX, "as record.h");

/* The two that write events write them first: when that fails nothing has been written. A stream
 * that takes no more ids (somebody added the highest) or that is no stream is begun anew. */
static const char start[] =
    "local t = redis.call('TIME')\n"
    "local function read(k, last)\n"
    "  local kind = redis.call('TYPE', k).ok\n"
    "  if kind == 'none' then return '' end\n"
    "  if kind ~= 'string' then return false end\n"
    "  return redis.call('GETRANGE', k, 0, last)\n"
    "end\n"
    "local function clear(k, kind)\n"
    "  local found = redis.call('TYPE', k).ok\n"
    "  if found ~= 'none' and found ~= kind then redis.call('DEL', k) end\n"
    "end\n"
    "local function newest(k)\n"
    "  local last = redis.call('XREVRANGE', k, '+', '-', 'COUNT', 1)\n"
    "  return last[1] and last[1][1] or ''\n"
    "end\n"
    "local function tell(k, name)\n"
    "  local function add()\n"
    "    return redis.pcall('XADD', k, 'MAXLEN', '~', " NUMBER(
        KEPT) ", '*', 'd', name)\n"
              "  end\n"
              "  local id = add()\n"
              "  if type(id) == 'table' and (string.find(id.err, 'WRONGTYPE', 1, true)\n"
              "      or string.find(id.err, ' ID', 1, true)) then\n"
              "    redis.call('DEL', k)\n"
              "    id = add()\n"
              "  end\n"
              "  return id\n"
              "end\n";

static const struct {
    const char *name, *text;
} scripts[] = {
    [SCRIPT_READ] = {"get", "local out = {t[1], t[2]}\n"
                            "for i, k in ipairs(KEYS) do\n"
                            "  out[i + 2] = read(k, " NUMBER(RECORD_LAST) ")\n"
                                                                          "end\n"
                                                                          "return out"},
    [SCRIPT_LOCK] =
        {"lock", "local record = read(KEYS[1], " NUMBER(
                     RECORD_LAST) ")\n"
                                  "local lock = read(KEYS[2], 255)\n"
                                  "local left = redis.call('PTTL', KEYS[2])\n"
                                  "local taken = 0\n"
                                  "if lock == '' or lock == ARGV[1] or ARGV[2] == '1' then\n"
                                  "  redis.call('SET', KEYS[2], ARGV[1], 'PX', " NUMBER(
                                      LOCK_MS) ")\n"
                                               "  taken = 1\n"
                                               "end\n"
                                               "return {t[1], t[2], record, taken, lock, left}"},
    [SCRIPT_RENEW] = {"renew",
                      "if read(KEYS[1], 255) ~= ARGV[1] then return {t[1], t[2], 0} end\n"
                      "redis.call('PEXPIRE', KEYS[1], " NUMBER(LOCK_MS) ")\n"
                                                                        "return {t[1], t[2], 1}"},
    [SCRIPT_UNLOCK] = {"unlock",
                       "if ARGV[3] == '1' then\n"
                       "  local id = tell(KEYS[2], ARGV[2])\n"
                       "  if type(id) == 'table' then return id end\n"
                       "end\n"
                       "if read(KEYS[1], 255) ~= ARGV[1] then return {t[1], t[2], 0} end\n"
                       "redis.call('DEL', KEYS[1])\n"
                       "return {t[1], t[2], 1}"},
    [SCRIPT_PUT] =
        {"put",
         "local there = read(KEYS[1], " NUMBER(
             RECORD_LAST) ") or ''\n"
                          "if string.sub(there, -65) ~= ARGV[1] then return {t[1], t[2], 0} end\n"
                          "local id = tell(KEYS[4], ARGV[4])\n"
                          "if type(id) == 'table' then return id end\n"
                          "redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])\n"
                          "if ARGV[6] == '1' then\n"
                          "  local now = tonumber(t[1]) + tonumber(t[2]) / 1000000\n"
                          "  clear(KEYS[3], 'zset')\n"
                          "  redis.call('ZADD', KEYS[3], now + ARGV[3], ARGV[4])\n"
                          "  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)\n"
                          "end\n"
                          "if read(KEYS[2], 255) == ARGV[5] then redis.call('DEL', KEYS[2]) end\n"
                          "return {t[1], t[2], 1, id}"},
    /* Names that cannot be ours (domain_is_normal, said in Lua) do not count, so that they end no
     * page early; within reason. */
    [SCRIPT_INDEX] = {"index",
                      "local label = string.rep('[a-z0-9-]', 64)\n"
                      "local function is_domain(name)\n"
                      "  return #name <= 253 and string.find(name, '^[a-z0-9][a-z0-9.-]*$')\n"
                      "    and not string.find(name, '%.[.-]') and not string.find(name, '-%.')\n"
                      "    and not string.find(name, '[.-]$') and not string.find(name, label)\n"
                      "    and not string.find(name, '^%d+$') and not string.find(name, '%.%d+$')\n"
                      "end\n"
                      "local out, seen, most = {t[1], t[2]}, 0, tonumber(ARGV[2])\n"
                      "local step = math.max(most, 100)\n"
                      "if redis.call('TYPE', KEYS[1]).ok ~= 'zset' then return out end\n"
                      "repeat\n"
                      "  local page = redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], '(+inf',\n"
                      "    'WITHSCORES', 'LIMIT', seen, step)\n"
                      "  for i = 1, #page, 2 do\n"
                      "    if #out < 2 + 2 * most and is_domain(page[i]) then\n"
                      "      out[#out + 1] = page[i]\n"
                      "      out[#out + 1] = page[i + 1]\n"
                      "    end\n"
                      "  end\n"
                      "  seen = seen + step\n"
                      "until #page == 0 or #out >= 2 + 2 * most or seen >= 16 * step\n"
                      "return out"},
    [SCRIPT_TELL] = {"tell", "local id = tell(KEYS[1], ARGV[1])\n"
                             "if type(id) == 'table' then return id end\n"
                             "return {t[1], t[2], id}"},
    /* What cannot be written (no memory left) keeps nobody from reading the rest. */
    [SCRIPT_BEAT] =
        {"beat", "clear(KEYS[1], 'string') clear(KEYS[2], 'stream') clear(KEYS[3], 'hash')\n"
                 "redis.pcall('SET', KEYS[1], ARGV[1], 'NX')\n"
                 "local has = 0\n"
                 "if ARGV[2] ~= '' and #redis.call('XRANGE', KEYS[2], ARGV[2], ARGV[2]) > 0 then\n"
                 "  has = 1\n"
                 "end\n"
                 "redis.pcall('HSET', KEYS[3], ARGV[3], ARGV[4] .. ' ' .. t[1])\n"
                 "return {t[1], t[2], read(KEYS[1], 31), has, newest(KEYS[2])}"},
    [SCRIPT_NODES] =
        {"nodes", "clear(KEYS[1], 'hash') clear(KEYS[2], 'stream')\n"
                  "local out, all = {t[1], t[2], newest(KEYS[2])}, redis.call('HGETALL', KEYS[1])\n"
                  "for i = 1, math.min(#all, 2 * ARGV[1]) do\n"
                  "  out[#out + 1] = string.sub(all[i], 1, 200)\n"
                  "end\n"
                  "return out"},
    [SCRIPT_LEAVE] = {"leave", "clear(KEYS[1], 'hash')\n"
                               "redis.call('HDEL', KEYS[1], ARGV[1])\n"
                               "return {t[1], t[2]}"},
    [SCRIPT_SET] = {"set", "redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])\n"
                           "return {t[1], t[2]}"},
};

const char *
script_name(enum script script)
{
    return scripts[script].name;
}

static void
add(struct script_call *call, const char *bytes, size_t len)
{
    assert(call->count < SCRIPT_ARGUMENTS_MAX);
    call->arguments[call->count++] = (struct span){bytes, len};
}

static void
add_owned(struct script_call *call, char *text)
{
    call->owned[call->count] = text;
    add(call, text, strlen(text));
}

void
script_begin(struct script_call *call, enum script script)
{
    size_t len = strlen(scripts[script].text);
    char *text = alloc_bytes(sizeof start + len);

    *call = (struct script_call){.count = 0};
    memcpy(text, start, sizeof start - 1);
    memcpy(text + sizeof start - 1, scripts[script].text, len + 1);
    script_string(call, "EVAL");
    add_owned(call, text);
    add(call, "", 0); /* the number of keys: script_end */
}

void
script_key(struct script_call *call, const char *prefix, const char *kind, const char *domain)
{
    size_t size = strlen(prefix) + strlen(kind) + strlen(domain) + 1;
    char *key = alloc_bytes(size);

    snprintf(key, size, "%s%s%s", prefix, kind, domain);
    add_owned(call, key);
    call->keys++;
}

void
script_value(struct script_call *call, const char *bytes, size_t len)
{
    add(call, bytes, len);
}

void
script_string(struct script_call *call, const char *s)
{
    add(call, s, strlen(s));
}

void
script_number(struct script_call *call, int64_t number)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRId64, number);
    add_owned(call, alloc_string(text));
}

void
script_end(struct script_call *call)
{
    snprintf(call->key_count, sizeof call->key_count, "%zu", call->keys);
    call->arguments[2] = (struct span){call->key_count, strlen(call->key_count)};
}

void
script_done(struct script_call *call)
{
    for (size_t i = 0; i < call->count; i++)
        free(call->owned[i]);
}
