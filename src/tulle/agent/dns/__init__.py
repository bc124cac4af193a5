"""The DNS server that an agent runs for its program: names of the mesh get VIPs, all others are what they were.

resolv_conf  which nameservers the machine uses
codec        DNS messages as bytes
subjects     what a question is about
outside      which other hosts are declared
mesh_names   what the control plane said, remembered
forwarding   the nameservers, asked on the program's behalf
resolver     one query, from all of these
server       sockets; connections are those of TCP

Search domains: the program's queries come here only once its libc has expanded the names. With `search corp.com` in
resolv.conf(5), a libc asks for `service-b.corp.com` before `service-b`, as the name has fewer dots than `ndots`. To
answer that with the mesh's service-b would be wrong: `db.corp.com`, written out, must stay the database it always was,
and the two can't be told apart here. So a name in a search domain is forwarded as any other, and the program is started
with RES_OPTIONS=ndots:0 instead, which has the bare name asked first; the search list still follows if nobody knows it.
"""
