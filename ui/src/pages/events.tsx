/** What was changed about some names, by whom. */
import { DAYS, naming, useAudit } from "../audit";
import { date } from "../format";
import { Empty, Section, Skeleton } from "../parts/basics";
import { Table } from "../parts/table";
import { isAdmin } from "../session";

export function Events({ names }: { names: string[] }) {
  const fits = naming(names);
  const found = useAudit((line) => fits(line.what ?? "") || fits(line.who ?? ""), names.join());
  const command = `tulle audit --since ${DAYS * 24}h`;
  return (
    <Section title="Events" note={`last ${DAYS} days`} command={command} flush>
      {found === null ? <Skeleton /> : (
        <Table
          name="events"
          rows={found}
          keyOf={(row) => `${row.time} ${row.event} ${row.what}`}
          columns={[
            { key: "time", label: "When", cell: (row) => date(row.time) },
            { key: "event", label: "Event", cell: (row) => row.event },
            { key: "what", label: "What", cell: (row) => row.what || row.reason || "–" },
            { key: "who", label: "By", cell: (row) => row.who || "–" },
          ]}
          empty={<Empty title={isAdmin.value ? "Nothing happened to it" : "Events are in the audit log, which is for admins"} command={command} />}
        />
      )}
    </Section>
  );
}
