/* Published keys and tokens that several tests use. */
#ifndef TB_TESTS_CRYPTO_VECTORS_H
#define TB_TESTS_CRYPTO_VECTORS_H

/* RFC 7515 appendix A.3: a key on P-256 and a token signed with it. */
#define A3_PUBLIC                                                                                  \
    "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","      \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""
#define A3_D "\"d\":\"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI\""
#define JOE                                                                                        \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnV"  \
    "lfQ"
#define A3_TOKEN                                                                                   \
    "eyJhbGciOiJFUzI1NiJ9." JOE                                                                    \
    ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
#define A3_EXP 1300819380

/* RFC 7515 appendices A.1 (HS256) and A.5 (unsecured): never to be accepted. */
#define A1_TOKEN                                                                                   \
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." JOE ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
#define A5_TOKEN "eyJhbGciOiJub25lIn0." JOE "."

/* RFC 8037 appendix A: a key on Ed25519, its signature of a text, its thumbprint. */
#define ED_PUBLIC                                                                                  \
    "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""
#define ED_D      "\"d\":\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\""
#define ED_SIGNED "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
#define ED_SIGNATURE                                                                               \
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
#define ED_THUMBPRINT "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"

/* RFC 7638 §3.1: an RSA key and its thumbprint. */
#define RSA_7638                                                                                    \
    "\"kty\":\"RSA\",\"n\":\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1R"  \
    "K7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4"  \
    "QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyr"  \
    "dkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw\"," \
    "\"e\":\"AQAB\""
#define THUMBPRINT_7638 "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"

/* RFC 7520 §3.4: an RSA key pair; §4.1: its RS256 signature, never to be accepted. */
#define BILBO_PUBLIC                                                                               \
    "\"kty\":\"RSA\",\"kid\":\"bilbo.baggins@hobbiton.example\",\"use\":\"sig\","                  \
    "\"n\":\"n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZ" \
    "QHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpP" \
    "e7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_" \
    "vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw\",\"e\":\"AQAB\""
#define BILBO_PRIVATE                                                                              \
    "\"d\":\"bWUC9B-EFRIo8kpGfh0ZuyGPvMNKvYWNtB_ikiH9k20eT-O1q_I78eiZkpXxXQ0UTEs2LsNRS-8uJbvQ-A1i" \
    "rkwMSMkK1J3XTGgdrhCku9gRldY7sNA_AKZGh-Q661_42rINLRCe8W-nZ34ui_qOfkLnK9QWDDqpaIsA-bMwWWSDFu2M" \
    "UBYwkHTMEzLYGqOe04noqeq1hExBTHBOBdkMXiuFhUq1BU6l-DqEiWxqg82sXt2h-LMnT3046AOYJoRioz75tSUQfGCs" \
    "hWTBnP5uDjd18kKhyv07lhfSJdrPdM5Plyl21hsFf4L_mHCuoFau7gdsPfHPxxjVOcOpBrQzwQ\","                \
    "\"p\":\"3Slxg_DwTXJcb6095RoXygQCAZ5RnAvZlno1yhHtnUex_fp7AZ_9nRaO7HX_-SFfGQeutao2TDjDAWU4Vupk" \
    "8rw9JR0AzZ0N2fvuIAmr_WCsmGpeNqQnev1T7IyEsnh8UMt-n5CafhkikzhEsrmndH6LxOrvRJlsPp6Zv8bUq0k\","   \
    "\"q\":\"uKE2dh-cTf6ERF4k4e_jy78GfPYUIaUyoSSJuBzp3Cubk3OCqs6grT8bR_cu0Dm1MZwWmtdqDyI95HrUeq3M" \
    "P15vMMON8lHTeZu2lmKvwqW7anV5UzhM1iZ7z4yMkuUwFWoBvyY898EXvRD-hdqRxHlSqAZ192zB3pVFJ0s7pFc\","   \
    "\"dp\":\"B8PVvXkvJrj2L-GYQ7v3y9r6Kw5g9SahXBwsWUzp19TVlgI-YV85q1NIb1rxQtD-IsXXR3-TanevuRPRt5O" \
    "BOdiMGQp8pbt26gljYfKU_E9xn-RULHz0-ed9E9gXLKD4VGngpz-PfQ_q29pk5xWHoJp009Qf1HvChixRX59ehik\","  \
    "\"dq\":\"CLDmDGduhylc9o7r84rEUVn7pzQ6PF83Y-iBZx5NT-TpnOZKF1pErAMVeKzFEl41DlHHqqBLSM0W1sOFbwT" \
    "xYWZDm6sI6og5iTbwQGIC3gnJKbi_7k_vJgGHwHxgPaX2PnvP-zyEkDERuf-ry4c_Z11Cq9AqC2yeL6kdKT1cYF8\","  \
    "\"qi\":\"3PiqvXQN0zwMeE-sBvZgi289XP9XCQF3VWqPzMKnIgQp7_Tugo6-NZBKCQsMf3HaEGBjTVJs_jcK8-TRXva" \
    "Ke-7ZMaQj8VfBdYkssbu0NKDDhjJ-GtiseaDVWt7dcH0cfwxgFUHpQh7FoCrjFJ6h6ZEpMF6xmujs4qMpPz8aaI4\""
#define BILBO_TEXT                                                                                 \
    "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250" \
    "byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hl" \
    "cmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4"
#define BILBO_RS256_TOKEN                                                                          \
    "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9." BILBO_TEXT         \
    ".MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xug" \
    "lII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6" \
    "x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQS" \
    "E_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18kDquDg"

/* Signed by PyJWT 2.6 (PS256, salt of 32 bytes) with the RSA key of RFC 7520 §3.4. */
#define BILBO_PS256_TOKEN                                                                          \
    "eyJhbGciOiJQUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSIsInR5cCI6IkpXVCJ9."    \
    "eyJpc3MiOiJqb2UiLCJleHAiOjEzMDA4MTkzODB9."                                                    \
    "g2V0eiXjXnJjbnL7cQeUxzI5vAcI56fE_s3VHBzMj6I1e6ekibEWLs9T5EhwWj7r1xVcfdRn7p1k8W6l5pWrR7ZU"     \
    "lVoYeoitRIkoomkV-fzaBnhfVAZ1WGfDR6h3B7kRRMNXhNnAM_QnJt8vE0VLK8CeLSPve4RTfd6VH-MAs7oe7LWc"     \
    "lkM4NXl6ShNejjd9H0-0qr3tDzZOmsKlTdxz4vbk_RUR6NeMriRg5pV4gFX0nxdKxtL_SjpOMVN1eIemg300iuFO"     \
    "emo7ZqmA5qZlCzqbT9885RZclZcFp6hZRSdtGmUZoUH0A9u2QPTTtSlhJiDjNazWEgS-fGqT4n7Zrg"

/* The same text signed with the same key, but not as PS256 says: other salts, MGF1 with SHA-1. */
#define PSS_SALT_0                                                                                 \
    "aDxoEIer5Gd6y14XtATP7tug7nHtjOdArgPbVw6zisN1cjmWwe7CFrywMEdIoEB2CMZeY2Bq6cG6hnmZeP9JFuK2"     \
    "Ay2qdeYqeCwO8Q3XHbS1tnrIle-tjVS0IVtjX4dBvzFlgfRkD75IxJPk7Ot4RmmaQq5o6wlu7sPMVTlog82hVSMa"     \
    "a05ttBkPiYaMYWhBUziuvzS6ZSYfzwEC9YzriArIHR4yldNIpO13r923JvYkGXF8R-Z-OuW0c8cJyPi01yMMJWLv"     \
    "7es8micEw4dc23jOybIYdy_1xPGi2OrbvEFQ5tSS_RDFNQOzl95yfpHXtFy8rx_0djGsPCAB77uP5A"
#define PSS_SALT_20                                                                                \
    "CrFl9njhWFJbscOObRw6i1ibKw_moh39o1kldiXpcetIRNB5EbhrBjPJzh2jpx5qWdsk5lvmec4dJujDQ19b4lgp"     \
    "E9Lm5CfBuHMXj4jeKKql2IHBWXY2PBT614cZRmCcEzMhm-e4CvZOG7vASvwSbTXHukKA3hLzql4tZqwAgkX-VAb3"     \
    "R5YndOtAEeTq95eD2d2m_wItcxiNOQBJPsG6vXL-6k1EANm_M9vMTECNZCE992Y_LbwtAtB1KMzKXyuuvFUuWK5v"     \
    "jJRaZ-lJcq6h2_H2f6_IgGUCg0OsZuRjK00671lx0K0AtYUAvLhhDwZUIHUObM6o_OYkn3J9E0_aDQ"
#define PSS_SALT_64                                                                                \
    "fK2ddMNlSFIn8YRJTuzN19x3nnnYF7axhRcz-UYgejfLNhTUq7P2CPWXq9GhOu_AiBgf-37wbBIIqYWaQLpTtcwF"     \
    "XYHlX_hkWXVIruhpl_QurkXyiGb94_E_f9Wij2PzdRNrKjWuS1oy11SBL9n7R1UwsZgbC70tmi-ULWmHsLpvYyFK"     \
    "0koWZnvBRbe77S4_eWZA_YoQ0lMx7AHe5squQloH9D65uf9H28zeT9vxwrvTT--Bv0ui9Z5tLwrf5M8wYajxHSr8"     \
    "b133DLyCExkKg4dI-y4N_CvXGMRW0Ci9HhwTb3GRl2j92z_OHsl3jFfUKzBSydmJnTbMzUotcu_P2Q"
#define PSS_MGF1_SHA1                                                                              \
    "XJ-FQHtr-0ENure-3DfrQbH8Ij2s-wo6anTZZ3-XkhBgkueQy59HQhWNEkYLf711LSLt5A24pN1ROt_M0v_S56Ah"     \
    "5pAr0maj0YXiun17YjDRUVGxg9mlcDVb4iKawNIs0A6-BW-HdtrsrFG8QA34wLstCOOw0xY11-YSeJcOogGvSFsd"     \
    "rK9oZ9ZFCpk1SDOa4O8gO1ZYTHI1mIuKlQQJm5iDlFR7qofB-hY6FHRPRdfp5XhQFnVsGRpmnjeO6Odo2PCt9Lu9"     \
    "BHoU0-WzMCtn6nDZwX4cJPJnpNsV4QVmb3gyMWWaF0-ZP3JTTBeSd5Ie_W92M6kr1Y9Gb1XOtaIJMw"
#define RSA_V15                                                                                    \
    "GHC8QJHA6mu3fXNrgRrMgpdqwxzbD1u0Igbng4JiE5D77n_u8j7hrflnJRg6V5Oww04tLsngalcZQLfF2MG51n4N"     \
    "cQS3Us10UcyPcnk0FlRhR856kaq3R-23hbkOGnfUzFeBcnZEYOgEZJpJzDBg3mMq0V0tE7ahygMfuw2CxR7WJxyw"     \
    "SDb38v-iDwt1viYOR73G3qSLxD61R4pwivR1CLN93_pSrzYNZunIIWhfbunSbpQ9PyHF-HnO5AXZvN8SS8uGPsUF"     \
    "uEPm97nem00MF9d9lobSJjo9_oLYU8avVy1MsSYySV3aU11XYeJrnx3Xt91si4-jUgMx3m-mT_JwLg"

/* RFC 7520 §3.1: a key on P-521. */
#define P521_PUBLIC                                                                                \
    "\"kty\":\"EC\",\"crv\":\"P-521\","                                                            \
    "\"x\":\"AHKZLLOsCOzz5cY97ewNUajB957y-C-U88c3v13nmGZx6sYl_oJXu9A5RkTKqjqvjyekWF-7ytDyRXYgCF5c" \
    "j0Kt\","                                                                                      \
    "\"y\":\"AdymlHvOiLxXkEhayXQnNCvDX4h9htZaCJN34kfmC6pV5OhQHiraVySsUdaQkAgDPrwQrJmbnX9cwlGfP-Hq" \
    "HZR1\""

#endif
