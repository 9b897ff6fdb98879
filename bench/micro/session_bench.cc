/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session_bench.cc - processor time of the protocol machines alone: one command and its reply, a
 * group, a whole small message, a thousand recipients, and the client's side of a message.
 */
#include <benchmark/benchmark.h>
#include <cstdlib>
#include <vector>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
extern "C" {
#include "smtp/client.h"
#include "smtp/session.h"
}

namespace
{

answer say(status st)
{
    answer a = {};
    a.status = st;
    return a;
}

struct rig {
    session_config config;
    session s;
    scan content_scan;
    session_event ev;
    std::vector<session_entry> entries;
    uint8_t memory[65536];
    size_t output_bytes;

    explicit rig(session_protocol protocol) : entries(RCPT_COUNT_HARD_MAX), output_bytes(0)
    {
        if (scan_init("auto") != 0)
            abort();
        config = session_config();
        config.protocol = protocol;
        config.offers = SESSION_OFFER_STANDARD;
        config.hostname = slice_str("mx.example");
        config.size_max = 1 << 30;
        config.rcpt_max = RCPT_COUNT_HARD_MAX;
        session_init(&s, &config, 0);
        output();
        turn(slice_str(protocol == SESSION_LMTP ? "LHLO client.example\r\n"
                                                : "EHLO client.example\r\n"));
    }

    void output()
    {
        bool is_done;
        do {
            buf out = buf_over(memory, sizeof(memory));
            is_done = session_output(&s, &out);
            output_bytes += out.len;
            benchmark::DoNotOptimize(memory[0]);
        } while (!is_done);
    }

    void accept_all()
    {
        static const commit_proof proof = {1, true};
        uint32_t count = session_rcpt_count(&s);
        session_set_entries(&s, entries.data());
        for (uint32_t i = 0; i < count; i++)
            session_accept_rcpt(&s, i, say(STATUS_STORED), &proof);
        session_finish(&s, say(STATUS_NONE));
    }

    /* One event; false when the turn is over. */
    bool handle()
    {
        switch (ev.kind) {
        case EV_MAIL:
            session_answer(&s, ev.slot, say(STATUS_SENDER_OK));
            return true;
        case EV_RCPT:
            session_answer(&s, ev.slot, say(STATUS_RCPT_OK));
            return true;
        case EV_CONTENT: {
            scan_options options = session_scan_options(&s);
            scan_begin(&content_scan, &options);
            session_begin_content(&s, ev.slot, &content_scan);
            return true;
        }
        case EV_BODY_END:
            accept_all();
            return true;
        case EV_OUTPUT:
            output();
            return true;
        case EV_HELO:
        case EV_REFUSED:
        case EV_BODY:
        case EV_ABORT:
            return true;
        case EV_MORE:
        case EV_BLOCKED:
        case EV_CLOSE:
        case EV_NAMING: /* not offered here */
        case EV_COMMIT:
            return false;
        }
        return false;
    }

    /* What came in one receive, and the one send that answers it. */
    void turn(slice in)
    {
        do {
            in = slice_from(in, session_feed(&s, in, 0, &ev));
        } while (handle());
        output();
    }
};

void count_commands(benchmark::State &state, double commands)
{
    state.counters["per_command"] =
        benchmark::Counter(commands * static_cast<double>(state.iterations()),
                           benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void session_noop(benchmark::State &state)
{
    rig r(SESSION_SMTP);
    for (auto _ : state)
        r.turn(SLICE_LIT("NOOP\r\n"));
    count_commands(state, 1);
}
BENCHMARK(session_noop);

/* Four receives and four sends, as a client without pipelining has it; content of 1 KiB. */
void session_message_in_steps(benchmark::State &state)
{
    rig r(SESSION_SMTP);
    std::vector<char> content;
    for (int i = 0; i < 16; i++)
        content.insert(content.end(), 62, 'x'), content.insert(content.end(), {'\r', '\n'});
    content.insert(content.end(), {'.', '\r', '\n'});
    for (auto _ : state) {
        r.turn(SLICE_LIT("MAIL FROM:<sender@client.example> SIZE=1024\r\n"));
        r.turn(SLICE_LIT("RCPT TO:<somebody@mx.example>\r\n"));
        r.turn(SLICE_LIT("DATA\r\n"));
        r.turn(slice_of(content.data(), content.size()));
    }
    count_commands(state, 4);
}
BENCHMARK(session_message_in_steps);

/* The same with an empty body and the envelope in one group. */
void session_message_in_a_group(benchmark::State &state)
{
    rig r(SESSION_SMTP);
    for (auto _ : state) {
        r.turn(SLICE_LIT("MAIL FROM:<sender@client.example> SIZE=1024\r\n"
                         "RCPT TO:<somebody@mx.example>\r\nDATA\r\n"));
        r.turn(SLICE_LIT("x\r\n.\r\n"));
    }
    count_commands(state, 4);
}
BENCHMARK(session_message_in_a_group);

/* Many recipients on LMTP or PRDR: cost per recipient, RCPT and individual reply together. */
void session_recipients(benchmark::State &state)
{
    rig r(state.range(0) == 0 ? SESSION_LMTP : SESSION_SMTP);
    std::vector<char> group;
    const char line[] = "RCPT TO:<somebody@mx.example>\r\n";
    for (int i = 0; i < 1000; i++)
        group.insert(group.end(), line, line + sizeof(line) - 1);
    for (auto _ : state) {
        r.turn(state.range(0) == 0 ? SLICE_LIT("MAIL FROM:<sender@client.example>\r\n")
                                   : SLICE_LIT("MAIL FROM:<sender@client.example> PRDR\r\n"));
        r.turn(slice_of(group.data(), group.size()));
        r.turn(SLICE_LIT("DATA\r\n"));
        r.turn(SLICE_LIT("x\r\n.\r\n"));
    }
    count_commands(state, 1000);
}
BENCHMARK(session_recipients)->ArgName("prdr")->Arg(0)->Arg(1);

void session_hello(benchmark::State &state)
{
    rig r(SESSION_SMTP);
    for (auto _ : state)
        r.turn(SLICE_LIT("EHLO client.example\r\n"));
    count_commands(state, 1);
}
BENCHMARK(session_hello);

void path_of_rcpt(benchmark::State &state)
{
    slice in = SLICE_LIT("<somebody.with.a.name@mail.mx.example> NOTIFY=NEVER");
    path p;
    size_t used;
    for (auto _ : state) {
        benchmark::DoNotOptimize(path_parse(in, false, false, &p, &used));
        benchmark::DoNotOptimize(p);
    }
}
BENCHMARK(path_of_rcpt);

/* The client's side: one message, replies canned, envelope in one group. */
void client_of_message(benchmark::State &state)
{
    static uint8_t memory[4 * CLIENT_COMMAND_BYTES_MAX];
    client_config config = {};
    config.hostname = slice_str("client.example");
    config.pipelining = CLIENT_PIPELINE_ENVELOPE;
    client_rcpt rcpt = {};
    rcpt.address = slice_str("somebody@mx.example");
    client_result result;
    slice content = SLICE_LIT("Subject: x\r\n\r\ntext\r\n");
    client_message message = {};
    message.sender = slice_str("sender@client.example");
    message.rcpts = &rcpt;
    message.rcpt_count = 1;
    message.content = &content;
    message.content_count = 1;
    client c;
    slices parts;
    client_event ev;
    client_init(&c, &config, 0);
    auto turn = [&](slice in) {
        do {
            in = slice_from(in, client_feed(&c, in, 0, &ev));
        } while (ev.kind != CLIENT_EV_MORE);
        buf scratch = buf_over(memory, sizeof(memory));
        benchmark::DoNotOptimize(client_output(&c, 0, &scratch, &parts));
    };
    turn(SLICE_LIT("220 mx.example ESMTP\r\n"));
    turn(SLICE_LIT("250-mx.example\r\n250 PIPELINING\r\n"));
    for (auto _ : state) {
        client_begin(&c, &message, &result, 0);
        turn(SLICE_EMPTY);
        turn(SLICE_LIT("250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go\r\n"));
        turn(SLICE_LIT("250 2.0.0 stored\r\n"));
    }
    if (result.fate != CLIENT_FATE_DONE)
        state.SkipWithError("the message was not accepted");
}
BENCHMARK(client_of_message);

} // namespace

BENCHMARK_MAIN();
