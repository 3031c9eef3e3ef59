/*
 * Answers for the scripts of client_test.c: whole ones, and what is none.
 */
#ifndef HF_TESTS_UNIT_CLIENT_ANSWERS_H
#define HF_TESTS_UNIT_CLIENT_ANSWERS_H

#define JSON_HEAD(status)    "HTTP/1.1 " status "\r\nContent-Type: application/json\r\n"
#define PROBLEM_HEAD(status) "HTTP/1.1 " status "\r\nContent-Type: application/problem+json\r\n"

#define DONE                                                                                       \
    JSON_HEAD("201 Created")                                                                       \
    "Holdfast-Position: 17\r\nETag: \"3\"\r\nContent-Length: "                                     \
    "31\r\n\r\n{\"position\":17,\"results\":[{}]}\n"
#define REPLAYED                                                                                   \
    JSON_HEAD("201 Created")                                                                       \
    "Holdfast-Position: 17\r\nIdempotent-Replayed: true\r\nContent-Length: 2\r\n\r\n{}"
#define CUT_BODY                                                                                   \
    JSON_HEAD("201 Created")                                                                       \
    "Content-Length: 31\r\n\r\n{\"position\":17,\"res"
#define CUT_HEAD  "HTTP/1.1 201 Created\r\nContent-Type: appl"
#define NO_LENGTH JSON_HEAD("201 Created") "\r\n{\"position\":17}"
#define BAD_JSON  JSON_HEAD("201 Created") "Content-Length: 9\r\n\r\n{\"positio"
#define UNKNOWN                                                                                    \
    PROBLEM_HEAD("503 Service Unavailable")                                                        \
    "Content-Length: 26\r\n\r\n{\"code\":\"outcome_unknown\"}"
#define NOT_READY                                                                                  \
    PROBLEM_HEAD("503 Service Unavailable")                                                        \
    "Content-Length: 20\r\n\r\n{\"code\":\"not_ready\"}"
#define OVERLOADED                                                                                 \
    PROBLEM_HEAD("429 Too Many Requests")                                                          \
    "Retry-After: 7\r\nContent-Length: 21\r\n\r\n{\"code\":\"overloaded\"}"
#define REFUSED                                                                                    \
    PROBLEM_HEAD("422 Unprocessable Content")                                                      \
    "Holdfast-Position: 18\r\nContent-Length: 115\r\n\r\n"                                         \
    "{\"code\":\"insufficient_funds\",\"detail\":\"5 of 7 \\\"are\\\" "                            \
    "there\",\"failed\":\"/do/0\","                                                                \
    "\"current\":{\"id\":\"a\",\"available\":\"5\"}}"
#define UNAUTHORIZED                                                                               \
    PROBLEM_HEAD("401 Unauthorized")                                                               \
    "Content-Length: 23\r\n\r\n{\"code\":\"unauthorized\"}"
#define STRANGER "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone"
#define REDIRECT                                                                                   \
    "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: "         \
    "0\r\n\r\n"

#endif
