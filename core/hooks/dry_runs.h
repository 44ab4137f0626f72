/* The part of product "scripts" by which a partner proves a version before it runs: whether its
 * requests are recorded, and dry runs on the recordings. */
#ifndef TB_HOOKS_DRY_RUNS_H
#define TB_HOOKS_DRY_RUNS_H

#include <tongbao/plugin.h>

tb_err TB_SUSPENDS tb_recording_get(struct tb_req *req);
tb_err TB_SUSPENDS tb_recording_put(struct tb_req *req);
tb_err TB_SUSPENDS tb_recording_delete(struct tb_req *req);
tb_err TB_SUSPENDS tb_dry_run_post(struct tb_req *req);
tb_err TB_SUSPENDS tb_dry_run_get(struct tb_req *req);
tb_err TB_SUSPENDS tb_dry_run_cancel(struct tb_req *req);
tb_err TB_SUSPENDS tb_dry_run_differences(struct tb_req *req);

extern const struct tb_query_param tb_differences_query[];

#define TB_DRY_RUNS_PATH "/scripts/v1/scripts/{script_id:scr}/dry-runs"

/** Rows of the product's table. */
#define TB_DRY_RUN_ROUTES                                                                          \
    {.method = "GET",                                                                              \
     .path = "/scripts/v1/recording",                                                              \
     .scope = "scripts:read",                                                                      \
     .level = TB_A2,                                                                               \
     .reply_schema = "recording",                                                                  \
     .flags = TB_R_UNSCRIPTED,                                                                     \
     .handler = tb_recording_get,                                                                  \
     .summary = "Whether your requests are recorded, until when, and what there is."},             \
        {.method = "PUT",                                                                          \
         .path = "/scripts/v1/recording",                                                          \
         .scope = "scripts:write",                                                                 \
         .level = TB_A2,                                                                           \
         .body_schema = "recording_put",                                                           \
         .reply_schema = "recording",                                                              \
         .flags = TB_R_FINISH | TB_R_UNSCRIPTED,                                                   \
         .handler = tb_recording_put,                                                              \
         .summary = "Record your requests for some days, to try versions of your script on."},     \
        {.method = "DELETE",                                                                       \
         .path = "/scripts/v1/recording",                                                          \
         .scope = "scripts:write",                                                                 \
         .level = TB_A2,                                                                           \
         .flags = TB_R_FINISH | TB_R_UNSCRIPTED,                                                   \
         .handler = tb_recording_delete,                                                           \
         .summary = "Stop recording, and forget what was recorded."},                              \
        {.method = "POST",                                                                         \
         .path = TB_DRY_RUNS_PATH,                                                                 \
         .scope = "scripts:write",                                                                 \
         .level = TB_A2,                                                                           \
         .body_schema = "dry_run_post",                                                            \
         .reply_schema = "dry_run",                                                                \
         .flags = TB_R_FINISH | TB_R_UNSCRIPTED,                                                   \
         .cost = 10,                                                                               \
         .handler = tb_dry_run_post,                                                               \
         .summary = "Try a version on your recorded requests."},                                   \
        {.method = "GET",                                                                          \
         .path = TB_DRY_RUNS_PATH "/{dry_run_id:dry}",                                             \
         .scope = "scripts:read",                                                                  \
         .level = TB_A2,                                                                           \
         .reply_schema = "dry_run",                                                                \
         .flags = TB_R_UNSCRIPTED,                                                                 \
         .handler = tb_dry_run_get,                                                                \
         .summary = "How far a dry run is, and what it has counted."},                             \
        {.method = "DELETE",                                                                       \
         .path = TB_DRY_RUNS_PATH "/{dry_run_id:dry}",                                             \
         .scope = "scripts:write",                                                                 \
         .level = TB_A2,                                                                           \
         .reply_schema = "dry_run",                                                                \
         .flags = TB_R_FINISH | TB_R_UNSCRIPTED,                                                   \
         .handler = tb_dry_run_cancel,                                                             \
         .summary = "End a dry run early; what it has counted stays."},                            \
    {                                                                                              \
        .method = "GET", .path = TB_DRY_RUNS_PATH "/{dry_run_id:dry}/differences",                 \
        .scope = "scripts:read", .level = TB_A2, .query = tb_differences_query,                    \
        .flags = TB_R_UNSCRIPTED, .handler = tb_dry_run_differences,                               \
        .summary = "Requests that the two versions judge differently, one JSON object a line."     \
    }

#endif
