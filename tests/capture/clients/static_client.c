/* A client that no dynamic linker has a say in: static_client HOST prints the body of http://HOST/data. */
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;
    char buffer[65536], request[512], *body;
    size_t length = 0;
    ssize_t part;
    int failed, connection;

    if (argc != 2)
        return 2;
    if ((failed = getaddrinfo(argv[1], "80", &hints, &found)) != 0) {
        fprintf(stderr, "%s: %s\n", argv[1], gai_strerror(failed));
        return 1;
    }
    connection = socket(found->ai_family, found->ai_socktype, 0);
    if (connect(connection, found->ai_addr, found->ai_addrlen) != 0) {
        perror("connect");
        return 1;
    }
    snprintf(request, sizeof request, "GET /data HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", argv[1]);
    if (write(connection, request, strlen(request)) < 0)
        return 1;
    while (length < sizeof buffer - 1 && (part = read(connection, buffer + length, sizeof buffer - 1 - length)) > 0)
        length += part;
    buffer[length] = 0;
    if ((body = strstr(buffer, "\r\n\r\n")) == NULL)
        return 1;
    puts(body + 4);
    return 0;
}
