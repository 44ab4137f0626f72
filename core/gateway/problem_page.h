/* Pages behind the `type` and `doc_url` of a problem: the meaning of its code and what to do about
 * it, as a page for a person and as JSON for a program, in either language. From the same tables as
 * the problems themselves. */
#ifndef TB_GATEWAY_PROBLEM_PAGE_H
#define TB_GATEWAY_PROBLEM_PAGE_H

#include <tongbao/plugin.h>

/** GET /problems/{code}: HTML where the Accept header prefers it to JSON; the language is that of
 *  the parameter `lang`, else of Accept-Language, else English. */
tb_err tb_problem_page(struct tb_req *req);

extern const struct tb_query_param tb_problem_page_query[];

#endif
