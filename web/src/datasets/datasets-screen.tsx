export function DatasetsScreen() {
	return <p>DatasetsScreen</p>;
}
