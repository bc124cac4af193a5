"""Well-known ports of protocols that are not HTTP, as far as services of a mesh listen there. A file without imports.

In many of these protocols the server speaks first, so that nobody can tell the protocol by listening to the client: such a
port is TCP unless the user says otherwise. The first four are those that Istio never sniffs (`wellKnownPorts` in its
pkg/config/kube). The others are in IANA's Service Name and Transport Protocol Port Number Registry, or are the defaults in
the manuals of the product that is named. Left out is what speaks HTTP or gRPC on its port (Elasticsearch, etcd, CouchDB,
InfluxDB), and what programs under development like to use for HTTP.
"""

# Where programs speak HTTP unless somebody says otherwise: 80, what IANA calls http-alt, and what frameworks start with.
HTTP_PORTS = {80, 3000, 5000, 8000, 8008, 8080, 8081, 8888}

TCP_PORTS = {
    25: "SMTP",
    53: "DNS",
    3306: "MySQL",
    27017: "MongoDB",
    21: "FTP",
    22: "SSH",
    23: "Telnet",
    110: "POP3",
    143: "IMAP",
    389: "LDAP",
    465: "SMTP over TLS",
    587: "mail submission",
    636: "LDAP over TLS",
    993: "IMAP over TLS",
    995: "POP3 over TLS",
    1433: "SQL Server",
    1521: "Oracle",
    1883: "MQTT",
    2181: "ZooKeeper",
    4222: "NATS",
    5222: "XMPP",
    5432: "PostgreSQL",
    5671: "AMQP over TLS",
    5672: "AMQP",
    6379: "Redis",
    7687: "Bolt (Neo4j)",
    8883: "MQTT over TLS",
    9042: "Cassandra",
    9092: "Kafka",
    11211: "memcached",
    26379: "Redis Sentinel",
    33060: "MySQL X",
    61613: "STOMP",
}
