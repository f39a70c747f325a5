/* The settings in effect and where each comes from. Secrets are shown as "set" or "unset" and never as themselves. */
/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "verbs.h"

#define CONFIG_BYTES (1024 * 1024)

static void put_row(void *arg, const struct setting *s, const char *shown, const char *source)
{
    struct json_out *j = arg;
    json_begin_object(j, NULL);
    json_put_text(j, "name", s->name);
    json_put_text(j, "value", shown);
    json_put_text(j, "source", source);
    json_put_bool(j, "secret", (s->flags & SETTING_SECRET) != 0);
    json_put_text(j, "help", s->help);
    json_end(j);
}

static void print_row(void *arg, const struct setting *s, const char *shown, const char *source)
{
    (void)arg;
    printf("%s=%s\n", s->name, shown ? shown : "");
    printf("    # %s [%s]\n", s->help, source);
}

int verb_config(int argc, char **argv)
{
    struct verb_args a;
    int code = verb_read(argc, argv, "", "chiron config\nLISTEN=127.0.0.1:9000 chiron config -o json\n", NULL, &a);
    if (code != VERB_GO) return code;
    if (a.count) return verb_usage(&a, "it takes no \"%.60s\"", a.words[0]);
    struct verb_env v;
    enum err        e = verb_open(&v, &a, VERB_CONF, NULL);
    if (!e && v.json) {
        struct buf b;
        buf_init(&b, CONFIG_BYTES);
        struct json_out j;
        json_out_init(&j, &b);
        json_begin_object(&j, NULL);
        json_begin_array(&j, "settings");
        conf_each(put_row, &j);
        json_end(&j);
        json_end(&j);
        puts(b.data);
        buf_dispose(&b);
    } else if (!e) {
        conf_each(print_row, NULL);
    }
    return verb_close(&v, e);
}
