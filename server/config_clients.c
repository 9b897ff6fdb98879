/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_clients.c - what is configured about time: client sections, and who may be kept waiting.
 *
 * Delays are for experiments, so a listener that others can reach must confirm them; the error
 * names the line of the delay, since that is what has to go.
 */
#include "config_load.h"
#include "base/assert.h"

int config_delays(struct config_load *l)
{
    const struct config *c = l->config;
    const struct config_listener *open = NULL;
    for (uint32_t i = 0; i < c->listener_count; i++) {
        const struct config_listener *listener = &c->listeners[i];
        if (listener->options.may_delay)
            continue;
        if (listener->content_delay.kind != DELAY_NONE)
            return config_fail(l, config_line_of(listener->node, "content_delay"),
                               "content_delay: listener '%s' can be reached by others; confirm it "
                               "by allow_delays = yes",
                               listener->name);
        open = listener;
    }
    for (uint32_t i = 0; open != NULL && i < c->class_count; i++)
        if (c->classes[i].delay.kind != DELAY_NONE)
            return config_fail(l, config_line_of(c->classes[i].node, "delay"),
                               "delay: listener '%s' can be reached by others; confirm it there by "
                               "allow_delays = yes",
                               open->name);
    return 0;
}

static int make_client(struct config_load *l, const struct config_client *client,
                       struct patience_client *made)
{
    struct region *memory = &l->config->memory;
    if (client->networks.count + client->helos.count == 0)
        return config_fail(l, config_line_of(client->node, ""),
                           "client '%s' has neither networks nor helo", client->name);
    if (client->reply_ns == 0)
        return config_fail(l, config_line_of(client->node, ""), "client '%s' has no reply_budget",
                           client->name);
    struct patience_network *networks =
        region_take(memory, (client->networks.count + 1) * sizeof(*networks));
    struct slice *helos = region_take(memory, (client->helos.count + 1) * sizeof(*helos));
    if (networks == NULL || helos == NULL)
        return config_fail_memory(l);
    for (uint32_t i = 0; i < client->networks.count; i++) {
        struct slice text = client->networks.at[i].text;
        if (!patience_network_parse(text, &networks[i]))
            return config_fail(l, client->networks.at[i].line,
                               "networks: '%.*s' is not an address or a network such as "
                               "192.0.2.0/24",
                               (int)size_min(text.len, 60), (const char *)text.ptr);
    }
    for (uint32_t i = 0; i < client->helos.count; i++) {
        helos[i] = client->helos.at[i].text;
        if (helos[i].len == 0 || slice_find(helos[i], ' ') < helos[i].len)
            return config_fail(l, client->helos.at[i].line,
                               "helo: '%.*s' can be no name in EHLO, which is one word",
                               (int)size_min(helos[i].len, 60), (const char *)helos[i].ptr);
    }
    *made = (struct patience_client){
        .name = slice_str(client->name),
        .networks = networks,
        .network_count = client->networks.count,
        .helos = helos,
        .helo_count = client->helos.count,
        .reply_ns = client->reply_ns,
    };
    return 0;
}

int config_clients(struct config_load *l)
{
    struct config *c = l->config;
    c->patient_clients =
        region_take(&c->memory, (c->client_count + 1) * sizeof(*c->patient_clients));
    if (c->patient_clients == NULL)
        return config_fail_memory(l);
    for (uint32_t i = 0; i < c->client_count; i++) {
        int err = make_client(l, &c->clients[i], &c->patient_clients[i]);
        if (err < 0)
            return err;
    }
    return 0;
}
