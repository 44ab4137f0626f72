#include "certs.h"
#include <assert.h>
#include <dirent.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char directory[64];

void certs_begin(void)
{
    snprintf(directory, sizeof(directory), "/tmp/tb-paper-XXXXXX");
    assert(mkdtemp(directory) != NULL);
}

void certs_forget(void)
{
    DIR *dir = opendir(directory);
    assert(dir != NULL);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    rmdir(directory);
}

static void extend(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert(extension != NULL);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

static X509 *read_certificate(const char *path)
{
    FILE *file = fopen(path, "r");
    assert(file != NULL);
    X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    return certificate;
}

static EVP_PKEY *read_key(const char *path)
{
    FILE *file = fopen(path, "r");
    assert(file != NULL);
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    fclose(file);
    return key;
}

static void write_files(const struct certs *out, X509 *certificate, EVP_PKEY *key)
{
    FILE *file = fopen(out->certificate, "w");
    assert(file != NULL && PEM_write_X509(file, certificate) == 1);
    fclose(file);
    file = fopen(out->key, "w");
    assert(file != NULL && PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1);
    fclose(file);
}

void certs_make(struct certs *out, const char *file, const struct certs_kind *kind)
{
    static long serial;
    char names[128];
    snprintf(out->certificate, PAPER_PATH, "%s/%s.pem", directory, file);
    snprintf(out->key, PAPER_PATH, "%s/%s.key", directory, file);
    snprintf(names, sizeof(names), "DNS:%s,IP:127.0.0.1", kind->name);

    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    X509 *issuer = kind->issuer == NULL ? NULL : read_certificate(kind->issuer->certificate);
    EVP_PKEY *issuer_key = kind->issuer == NULL ? NULL : read_key(kind->issuer->key);
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -2 * 86400);
    X509_gmtime_adj(X509_getm_notAfter(certificate), kind->expired ? -86400 : 86400);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                               (const unsigned char *)kind->name, -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer == NULL ? certificate : issuer));
    X509_set_pubkey(certificate, key);
    extend(certificate, issuer == NULL ? certificate : issuer, NID_basic_constraints,
           kind->authority ? "critical,CA:TRUE" : "CA:FALSE");
    extend(certificate, issuer == NULL ? certificate : issuer, NID_subject_alt_name, names);
    assert(X509_sign(certificate, issuer == NULL ? key : issuer_key, EVP_sha256()) > 0);
    write_files(out, certificate, key);
    X509_free(certificate);
    X509_free(issuer);
    EVP_PKEY_free(key);
    EVP_PKEY_free(issuer_key);
}
