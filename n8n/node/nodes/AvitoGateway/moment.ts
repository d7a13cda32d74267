import { DateTime } from 'luxon';

/**
 * Returns a moment with its offset from UTC, as the gateway wants it. n8n's date fields have none: theirs is the
 * workflow's time zone. What is no date is left as it is, for the gateway to refuse by name.
 */
export function withOffset(moment: string, zone: string): string {
	const read = DateTime.fromISO(moment, { zone, setZone: /Z|[+-]\d\d:?\d\d$/i.test(moment) });
	return read.toISO() ?? moment;
}
