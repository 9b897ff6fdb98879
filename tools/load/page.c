/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page.c - owns how pages look. Colours are told apart by those who see few of them (after Okabe
 * and Ito), and lines by their dashes as well.
 */
#include "load/page.h"
#include "load/show.h"
#include <string.h>

static const char *const style[] = {
    ":root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1b2330;--dim:#5b6676;"
    "--rule:#e3e7ed;--edge:#9aa5b4;--shade:#eef1f5;--c1:#0072b2;--c2:#d55e00;--c3:#009e73;"
    "--c4:#e69f00;--c5:#d55e00;--c6:#7d8696;--c7:#56a5d8;--c8:#b0539a;--bad:#b42318;"
    "--badbg:#fef3f2;--warn:#93610a;--warnbg:#fffaeb;--good:#067647;--bar:#dbe7f3}\n",
    "@media(prefers-color-scheme:dark){:root{--bg:#12161c;--card:#1a2029;--ink:#e6eaf0;"
    "--dim:#98a3b3;--rule:#2a323e;--edge:#5b6676;--shade:#222a35;--c1:#5cb3ec;--c2:#ff9a4d;"
    "--c3:#3fcf9f;--c4:#f2bd3c;--c5:#ff8a5c;--c6:#98a3b3;--c7:#9ad2f5;--c8:#de8fcb;"
    "--bad:#ffb4a8;--badbg:#3a1b18;--warn:#f5c563;--warnbg:#332911;--good:#5fd6a2;--bar:#24405a}}"
    "\n",
    "*{box-sizing:border-box}\n",
    "body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"
    "\"Segoe UI\",Roboto,\"Noto Sans\",\"DejaVu "
    "Sans\",sans-serif;font-variant-numeric:tabular-nums}\n",
    "main{max-width:1120px;margin:0 auto;padding:28px 20px 48px}\n",
    "h1{font-size:24px;line-height:1.25;margin:0 0 4px;overflow-wrap:anywhere}\n",
    "h2{font-size:17px;margin:0 0 2px}\n",
    "p{margin:4px 0 10px}.dim,figcaption{color:var(--dim)}\n",
    "figcaption{font-size:13.5px;margin:0 0 10px;max-width:90ch}\n",
    "code,pre{font:13px/1.5 ui-monospace,\"SF Mono\",Menlo,Consolas,\"DejaVu Sans Mono\",monospace;"
    "overflow-wrap:anywhere;white-space:pre-wrap;margin:0}\n",
    ".card{background:var(--card);border:1px solid var(--rule);border-radius:10px;"
    "padding:18px 20px;margin:16px 0}\n",
    "figure{margin:0}.two{display:grid;grid-template-columns:1fr 1fr;gap:16px}\n",
    ".two>.card{margin:0}@media(max-width:820px){.two{grid-template-columns:"
    "minmax(0,1fr)}th[scope=row]{white-space:normal}main{padding:20px 12px}.card{padding:14px}}\n",
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(160px,1fr));gap:12px;"
    "margin:18px 0;padding:0;list-style:none}\n",
    ".tiles li{background:var(--card);border:1px solid var(--rule);border-radius:10px;"
    "padding:12px 14px}.tiles b{display:block;font-size:22px;line-height:1.3;font-weight:650}\n",
    ".tiles span{color:var(--dim);font-size:13px}.tiles small{color:var(--dim);font-size:12.5px}\n",
    ".banner{border-radius:10px;padding:12px 16px;margin:16px 0;border:1px solid currentColor;"
    "overflow-wrap:anywhere}.bad{color:var(--bad);background:var(--badbg)}\n",
    ".warn{color:var(--warn);background:var(--warnbg)}\n",
    ".scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:13.5px}\n",
    "caption{text-align:left;color:var(--dim);padding:0 0 6px}\n",
    "th,td{padding:5px 10px;text-align:right;border-bottom:1px solid var(--rule);"
    "white-space:nowrap}th{font-weight:600}thead th{color:var(--dim);font-weight:500}\n",
    "th:first-child,td:first-child,.l{text-align:left}tr.group th,tr.group td{border-bottom:0}\n",
    "tbody tr:last-child>*{border-bottom:0}td.wrap{white-space:normal;overflow-wrap:anywhere;"
    "text-align:left}td.bars{width:34%;padding-right:0}\n",
    "td.better{color:var(--good)}td.worse{color:var(--bad)}\n",
    "details{margin-top:10px}summary{cursor:pointer;color:var(--dim);font-size:13.5px}\n",
    "svg.plot{display:block;width:100%;height:auto}svg.bar{display:block;width:100%;height:10px}\n",
    "svg text{font-size:12px;fill:var(--dim)}svg .name{font-size:12.5px}\n",
    "svg .legend{fill:var(--ink)}svg .note{font-size:11.5px;fill:var(--ink);"
    "paint-order:stroke;stroke:var(--card);stroke-width:3px}\n",
    ".grid{stroke:var(--rule);fill:none}.edge{stroke:var(--edge);fill:none}\n",
    ".shade{fill:var(--shade)}.veil{fill:var(--card);fill-opacity:.45}.hover{fill:transparent}."
    "hover:hover{fill:var(--edge);"
    "fill-opacity:.18}\n",
    ".line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}\n",
    ".mark{stroke:var(--card);stroke-width:1.5}.fill{stroke:none}\n",
    ".line.c1{stroke:var(--c1)}.line.c2{stroke:var(--c2);stroke-dasharray:7 5}\n",
    ".line.c3{stroke:var(--c3)}.line.c4{stroke:var(--c4)}.line.c5{stroke:var(--c5)}\n",
    ".line.c6{stroke:var(--c6);stroke-dasharray:2 4}\n",
    ".line.c7{stroke:var(--c7)}.line.c8{stroke:var(--c8)}.line.dash{stroke-dasharray:7 5}\n",
    ".fill.c1,.mark.c1{fill:var(--c1)}.fill.c2,.mark.c2{fill:var(--c2)}\n",
    ".fill.c3{fill:var(--c3)}.fill.c4,.mark.c4{fill:var(--c4)}.fill.c5{fill:var(--c5)}\n",
    ".fill.c6{fill:var(--c6)}.fill.c7,.mark.c7{fill:var(--c7)}.fill.c8,.mark.c8{fill:var(--c8)}\n",
    "i.c1,i.c2,i.c3,i.c4,i.c5,i.c6{display:inline-block;width:10px;height:10px;border-radius:2px;"
    "margin-right:8px}i.c1{background:var(--c1)}i.c2{background:var(--c2)}\n",
    "i.c3{background:var(--c3)}i.c4{background:var(--c4)}i.c5{background:var(--c5)}\n",
    "i.c6{background:var(--c6)}\n",
    ":root{--h0:#e8edf3;--h1:#fff3c4;--h2:#fee391;--h3:#fec44f;--h4:#fe9929;--h5:#ec7014;--h6:#"
    "cc4c02;--h7:#993404;--h8:#662506;--t0:#1b2330;--t1:#1b2330;--t2:#1b2330;--t3:#1b2330;--t4:#"
    "1b2330;--t5:#1b2330;--t6:#fff;--t7:#fff;--t8:#fff}\n",
    "@media(prefers-color-scheme:dark){:root{--h0:#222a35;--h1:#4a2406;--h2:#662f08;--h3:#8a3d0a;--"
    "h4:#b3500f;--h5:#d97a1e;--h6:#f0a03c;--h7:#fec96b;--h8:#fff0b8;--t0:#e6eaf0;--t1:#fff;--t2:#"
    "fff;--t3:#fff;--t4:#fff;--t5:#12161c;--t6:#12161c;--t7:#12161c;--t8:#12161c}}\n",
    ".h0{fill:var(--h0);background:var(--h0)}.h1{fill:var(--h1);background:var(--h1)}.h2{fill:var(-"
    "-h2);background:var(--h2)}.h3{fill:var(--h3);background:var(--h3)}.h4{fill:var(--h4);"
    "background:var(--h4)}.h5{fill:var(--h5);background:var(--h5)}.h6{fill:var(--h6);background:"
    "var(--h6)}.h7{fill:var(--h7);background:var(--h7)}.h8{fill:var(--h8);background:var(--h8)}\n",
    "svg .t0,.k0{fill:var(--t0)}svg .t1,.k1{fill:var(--t1)}svg .t2,.k2{fill:var(--t2)}svg "
    ".t3,.k3{fill:var(--t3)}svg .t4,.k4{fill:var(--t4)}svg .t5,.k5{fill:var(--t5)}svg "
    ".t6,.k6{fill:var(--t6)}svg .t7,.k7{fill:var(--t7)}svg .t8,.k8{fill:var(--t8)}\n",
    ".off{stroke:var(--bad);stroke-width:2.5}svg.heat{display:block;margin:6px 0 10px}svg "
    ".label{fill:var(--ink)}\n",
    "ul.legend{display:flex;flex-wrap:wrap;gap:4px 14px;list-style:none;margin:4px "
    "0;padding:0;font-size:12.5px;color:var(--dim)}ul.legend i{display:inline-block;width:14px;"
    "height:14px;border-radius:2px;margin-right:6px;vertical-align:-2px}svg.key{width:14px;"
    "height:14px;margin-right:6px;vertical-align:-2px}svg.key.wide{width:26px}\n",
    ".band{stroke:none;fill-opacity:.16}.band.c1{fill:var(--c1)}.band.c2{fill:var(--c2)}"
    ".band.c3{fill:var(--c3)}.band.c4{fill:var(--c4)}.band.c6{fill:var(--c6)}"
    ".band.c7{fill:var(--c7)}.band.c8{fill:var(--c8)}\n",
    ".mark.c3{fill:var(--c3)}\n",
    "nav.dim{font-size:13.5px}a{color:inherit}h3{font-size:14.5px;margin:16px 0 2px}\n",
    ".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(440px,100%),1fr));"
    "gap:12px 20px}\n",
    "ul.facts{margin:6px 0 10px;padding-left:20px}ul.chips{display:flex;flex-wrap:wrap;gap:6px;"
    "list-style:none;margin:6px 0 12px;padding:0}ul.chips li{border:1px solid var(--rule);"
    "border-radius:6px;padding:1px 8px;font-size:12.5px;color:var(--dim)}\n",
    "td.off{color:var(--bad);font-weight:650}thead th.over{text-align:center;"
    "border-bottom:0}tbody tr.outer>*{border-top:1px solid var(--edge)}\n",
    "svg.ladder{display:block;margin:6px 0 10px}.life{stroke:var(--edge);stroke-width:1.5;"
    "fill:none}.life.skip{stroke-dasharray:1 5}.arrow{stroke:var(--ink);stroke-width:1.3;fill:none}"
    ".head{fill:var(--ink)}.arrow.no,.cross{stroke:var(--bad);stroke-width:2;fill:none}"
    ".arrow.no{stroke-width:1.3;stroke-dasharray:5 4}svg .bad{fill:var(--bad)}svg "
    ".good{fill:var(--good)}svg .ink{fill:var(--ink)}.try{fill:var(--shade)}"
    ".dot{fill:var(--c1)}.dot.bad{fill:var(--bad)}\n",
    "footer{color:var(--dim);font-size:13px;margin-top:24px}\n",
    "@media print{body{background:none}.card,.tiles li{break-inside:avoid}}\n",
};

void page_head(FILE *out, const char *title)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
          "style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta name=\"referrer\" content=\"no-referrer\">\n<title>",
          out);
    page_text(out, title);
    fputs("</title>\n<style>\n", out);
    for (size_t i = 0; i < ARRAY_COUNT(style); i++)
        fputs(style[i], out);
    fputs("</style>\n</head>\n<body>\n<main>\n", out);
}

void page_foot(FILE *out, const char *program, const char *version)
{
    fprintf(out, "<footer>Made by %s ", program);
    page_text(out, version);
    fputs(". This page holds all it needs; it loads nothing and runs no script.</footer>\n"
          "</main>\n</body>\n</html>\n",
          out);
}

static void put_escaped(FILE *out, const char *text, bool keeps_lines)
{
    const uint8_t *at = (const uint8_t *)text;
    for (size_t len = strlen(text); len > 0;) {
        unsigned step = show_safe_len(at, len);
        if (keeps_lines && at[0] == '\r' && len > 1 && at[1] == '\n')
            step = 1;
        else if (keeps_lines && at[0] == '\n')
            step = (unsigned)fwrite("\n", 1, 1, out);
        else if (step == 0)
            fprintf(out, "\\x%02X", at[0]);
        else if (strchr("&<>\"'", at[0]) != NULL)
            fprintf(out, "&#%u;", at[0]);
        else
            fwrite(at, 1, step, out);
        step = step > 0 ? step : 1;
        at += step;
        len -= step;
    }
}

void page_text(FILE *out, const char *text)
{
    put_escaped(out, text, false);
}

void page_lines(FILE *out, const char *text)
{
    put_escaped(out, text, true);
}

size_t page_letter_count(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++)
        count += ((uint8_t)*text & 0xC0) != 0x80;
    return count;
}
