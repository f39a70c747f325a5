/* The product's table of contents: every domain's settings, routes and jobs, listed once. It holds no code and decides
 * nothing; a domain that is missing here does not exist for the binary. */
/* SPDX-License-Identifier: MIT */
#include <stddef.h>

#include "accounts/account.h"
#include "accounts/accounts.h"
#include "accounts/limit.h"
#include "accounts/mail.h"
#include "accounts/oidc_issuers.h"
#include "accounts/person_table.h"
#include "accounts/privacy.h"
#include "accounts/retention.h"
#include "admin/admin.h"
#include "coaching/coaching.h"
#include "encoder/encoder.h"
#include "encoder/install.h"
#include "http/http.h"
#include "knowledge/knowledge.h"
#include "models/models.h"
#include "store/jobs.h"
#include "store/store.h"
#include "verbs.h"

extern const struct route accounts_routes[];
extern const struct route jwks_routes[];
extern const struct route auth_routes[];
extern const struct route auth_self_routes[];
extern const struct route link_routes[];
extern const struct route oidc_routes[];
extern const struct route limits_routes[];
extern const struct route creator_routes[];
extern const struct route keys_routes[];
extern const struct route members_routes[];
extern const struct route roles_routes[];
extern const struct route users_routes[];
extern const struct route visitors_routes[];
extern const struct route privacy_routes[];
extern const struct route audit_routes[];
extern const struct route knowledge_routes[];
extern const struct route rag_routes[];
extern const struct route search_routes[];
extern const struct route coaching_routes[];
extern const struct route openai_routes[];
extern const struct route admin_routes[];

extern const struct person_table coaching_person_tables[];
extern const struct person_table knowledge_person_tables[];
extern const struct person_table accounts_person_tables[];
extern const struct person_table limit_person_tables[];
extern const struct person_place knowledge_person_places[];
extern const struct retention_rule coaching_retention_rules[];
extern const struct retention_rule accounts_retention_rules[];

const struct setting *const all_settings[] = {
    verb_settings_rows, store_settings,     http_settings,     encoder_settings, models_settings,
    accounts_settings,  knowledge_settings, coaching_settings, admin_settings,   install_settings,
    mail_settings,      oidc_settings,      limit_settings,     account_settings,  NULL,
};

const struct route *const all_routes[] = {
    http_routes,  accounts_routes, knowledge_routes, rag_routes,   search_routes,
    auth_routes,  auth_self_routes, link_routes,     oidc_routes,
    coaching_routes, openai_routes, admin_routes,     limits_routes,    creator_routes,
    jwks_routes,
    keys_routes,  members_routes,  roles_routes,     users_routes,     visitors_routes,
    privacy_routes, audit_routes,
    NULL,
};

const struct job_kind *const all_jobs[] = { &ingest_kind, &reindex_kind, &scrub_kind, &erase_kind, &retention_kind, NULL };

const struct person_table *const all_person_tables[] = { coaching_person_tables, knowledge_person_tables, limit_person_tables,
                                                          accounts_person_tables, NULL };
const struct person_place *const all_person_places[] = { knowledge_person_places, NULL };

const struct retention_rule *const all_retention_rules[] = { coaching_retention_rules, accounts_retention_rules, NULL };
