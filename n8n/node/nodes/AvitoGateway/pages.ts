import type { IDataObject, IExecuteFunctions } from 'n8n-workflow';

import { forItem } from './parameters';
import { ask } from './request';

/** Avito gives pages of 100, and none that begins after the 1000th. */
const PAGE = 100;
const LAST_OFFSET = 1000;

/** Reads pages until there are as many as the item's Return All and Limit ask for, or no more. */
export async function readPages(
	context: IExecuteFunctions,
	item: number,
	{ path, qs = {}, of }: { path: string; qs?: IDataObject; of: string },
): Promise<IDataObject[]> {
	const wanted = context.getNodeParameter('returnAll', item, false)
		? Infinity
		: (context.getNodeParameter('limit', item, 50) as number);
	const found: IDataObject[] = [];
	for (let offset = 0; found.length < wanted && offset <= LAST_OFFSET; offset += PAGE) {
		const limit = Math.min(PAGE, wanted - found.length);
		const page = await ask(context, {
			path,
			qs: { ...qs, limit, offset },
			...forItem(context, item),
		});
		found.push(...(page[of] as IDataObject[]));
		if (page.has_more !== true) break;
	}
	return found;
}
