/** How many instances are there, in a few characters. Pure. */
import type { Instances, Port, Service } from "./types";

/** `2/3`: how many take calls; `1 running`: of programs that only call others; `2/3, 1 running`. */
export function instancesText({ healthy, total, running }: Instances): string {
  if (!running) return `${healthy}/${total}`;
  return running === total ? `${running} running` : `${healthy}/${total}, ${running} running`;
}

/** Of several services together. */
export function added(all: (Instances | null)[]): Instances | null {
  const known = all.filter((one) => one !== null);
  const sum = (of: (one: Instances) => number) => known.reduce((total, one) => total + of(one), 0);
  return known.length ? { healthy: sum((one) => one.healthy), total: sum((one) => one.total), running: sum((one) => one.running) } : null;
}

/** Whether there are some that should do more than they do. */
export const isShort = (there: Instances | null): boolean => there !== null && there.healthy + there.running < there.total;

/** Whether all of them are out of order. */
export const isDown = (there: Instances | null): boolean => there !== null && there.total > 0 && there.healthy + there.running === 0;

/** The ports at which an instance takes calls now. The mesh remembers others as well. */
export const openPorts = (service: Service): Port[] => service.ports.filter((port) => port.mutual_tls.length > 0);

/** The port by which a service is meant if none is said. */
export function mainPort(service: Service | undefined): Port | undefined {
  const open = service ? openPorts(service) : [];
  return open.find((port) => port.number === 80) ?? open[0];
}
