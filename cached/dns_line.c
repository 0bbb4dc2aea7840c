#include "cached/dns_line.h"

#include <stdlib.h>
#include <string.h>

#include "cached/organisation.h"
#include "cached/table.h"

TAILQ_HEAD(item_list, dns_line_item);

/* An organisation with somebody in the line. */
struct dns_party {
    struct table_link link; /* first: the table's key is found by it */
    TAILQ_ENTRY(dns_party) in_turn, in_all;
    struct item_list waiting, running;
    size_t running_count;
    bool has_turn; /* stands in the line's `turns`: somebody waits and one more may run */
    char name[];
};

struct dns_line {
    size_t running_max, share_max, running;
    struct table *parties;
    TAILQ_HEAD(, dns_party) turns, all;
};

static const char *
name_of(const struct table_link *link)
{
    return ((const struct dns_party *)link)->name;
}

struct dns_line *
dns_line_new(size_t running_max, size_t share_max)
{
    struct dns_line *line = alloc_zero(1, sizeof(*line));

    line->running_max = running_max;
    line->share_max = share_max;
    line->parties = table_new(name_of);
    TAILQ_INIT(&line->turns);
    TAILQ_INIT(&line->all);
    return line;
}

void
dns_line_free(struct dns_line *line)
{
    if (line == NULL)
        return;
    table_free(line->parties);
    free(line);
}

static struct dns_party *
want_party(struct dns_line *line, const char *name)
{
    struct dns_party *party = (struct dns_party *)table_find(line->parties, name);
    size_t size = strlen(name) + 1;

    if (party != NULL)
        return party;
    party = alloc_zero(1, sizeof(*party) + size);
    memcpy(party->name, name, size);
    TAILQ_INIT(&party->waiting);
    TAILQ_INIT(&party->running);
    table_add(line->parties, &party->link);
    TAILQ_INSERT_TAIL(&line->all, party, in_all);
    return party;
}

/* Gives the party a turn or takes it, whichever is due; without anybody it goes. */
static void
settle(struct dns_line *line, struct dns_party *party)
{
    bool is_due = !TAILQ_EMPTY(&party->waiting) && party->running_count < line->share_max;

    if (is_due && !party->has_turn)
        TAILQ_INSERT_TAIL(&line->turns, party, in_turn);
    else if (!is_due && party->has_turn)
        TAILQ_REMOVE(&line->turns, party, in_turn);
    party->has_turn = is_due;
    if (!TAILQ_EMPTY(&party->waiting) || !TAILQ_EMPTY(&party->running))
        return;
    table_remove(line->parties, &party->link);
    TAILQ_REMOVE(&line->all, party, in_all);
    free(party);
}

void
dns_line_join(struct dns_line *line, struct dns_line_item *item, const char *name)
{
    item->party = want_party(line, organisation_of(name));
    item->is_running = false;
    TAILQ_INSERT_TAIL(&item->party->waiting, item, link);
    settle(line, item->party);
}

struct dns_line_item *
dns_line_next(struct dns_line *line)
{
    struct dns_party *party = TAILQ_FIRST(&line->turns);
    struct dns_line_item *item;

    if (party == NULL || line->running >= line->running_max)
        return NULL;
    item = TAILQ_FIRST(&party->waiting);
    TAILQ_REMOVE(&party->waiting, item, link);
    TAILQ_INSERT_TAIL(&party->running, item, link);
    item->is_running = true;
    party->running_count++;
    line->running++;
    TAILQ_REMOVE(&line->turns, party, in_turn); /* to the end of the turns */
    party->has_turn = false;
    settle(line, party);
    return item;
}

void
dns_line_leave(struct dns_line *line, struct dns_line_item *item)
{
    struct dns_party *party = item->party;

    TAILQ_REMOVE(item->is_running ? &party->running : &party->waiting, item, link);
    party->running_count -= item->is_running;
    line->running -= item->is_running;
    settle(line, party);
}

struct dns_line_item *
dns_line_any(const struct dns_line *line)
{
    const struct dns_party *party = TAILQ_FIRST(&line->all);

    if (party == NULL)
        return NULL;
    return TAILQ_EMPTY(&party->running) ? TAILQ_FIRST(&party->waiting)
                                        : TAILQ_FIRST(&party->running);
}
