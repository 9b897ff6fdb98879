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

void page_foot(FILE *out, const char *version)
{
    fputs("<footer>Made by postern-load ", out);
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
